"""Which dimension of a ReLU's input holds the images.

Most networks keep the images outermost, and that can be followed from call to call. Where a call may have moved them
(a transpose, an index, several crops per image), a second mini-batch tells: of another size, so that the dimension of
the images is the one that grows with it, and with the last image twice, so that equal rows show the order within it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_PLACES = (torch, Tensor, F, torch._C._nn)
# In two names: of torch, of Tensor and of torch.nn.functional, and those in place.
_ELEMENTWISE = (
    "add sub mul div true_divide addcmul where neg abs square sqrt rsqrt exp pow clone contiguous detach to float "
    "half bfloat16 double relu relu6 leaky_relu prelu rrelu hardtanh threshold clamp clip clamp_min clamp_max maximum "
    "minimum masked_fill sigmoid tanh silu gelu hardswish hardsigmoid elu selu celu mish softplus dropout dropout2d "
    "alpha_dropout feature_alpha_dropout batch_norm instance_norm group_norm layer_norm rms_norm local_response_norm "
    "normalize"
)
_LAYERS = (
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear pad interpolate cat concat "
    "avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d lp_pool2d adaptive_avg_pool1d "
    "adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d "
    "channel_shuffle pixel_shuffle pixel_unshuffle"
)
# A dimension that is outermost before and after, with the same size, is the same one: memory is read in order.
_RESHAPES = "view reshape flatten squeeze unsqueeze"
_REDUCTIONS = "mean sum amax"
# Views of the same memory, in which a dimension has the same step.
_VIEWS = "permute transpose swapaxes swapdims movedim chunk split tensor_split unbind narrow select"


def functions_named(names: str) -> set[Callable[..., Any]]:
    """Return the functions of these names in torch, Tensor, torch.nn.functional and torch.ops.aten, in place or not."""
    found = set()
    for name in names.split():
        for spelling in (name, f"{name}_"):
            found |= {getattr(place, spelling) for place in _PLACES if hasattr(place, spelling)}
            packet = getattr(torch.ops.aten, spelling, None)
            if packet is not None:
                found |= {packet, *(getattr(packet, overload) for overload in packet.overloads())}
    return found


VIEWS = functions_named(_VIEWS)
# True: the images stay outermost where the number of dimensions stays, too; False: whatever it becomes.
_REDUCES = functions_named(_REDUCTIONS)
_KEEPS_RANK = {
    **dict.fromkeys(functions_named(f"{_ELEMENTWISE} {_LAYERS} {_REDUCTIONS}"), True),
    **dict.fromkeys(functions_named(_RESHAPES), False),
}


class UnknownDimensionError(Exception):
    """A ReLU's input may hold the images in any dimension, or not at all."""


class Dimensions:
    """Tells which dimension of the inputs of a forward pass's ReLUs holds the images."""

    def begin(self, images: Tensor) -> None:
        """Forget an earlier pass; these are the images of the one that begins."""

    def follow(self, func: Callable[..., Any], args: Any, output: Any) -> None:
        """Note what a call has returned."""

    def by_image(self, pre_activations: Tensor) -> Tensor | None:
        """Return a ReLU's input as (N, ...); None where it is not to be counted."""
        raise NotImplementedError

    def end(self) -> None:
        """Check the whole pass."""


def ways_to_tell(images: Tensor) -> Iterator[tuple[Dimensions, Tensor]]:
    """Yield what tells the dimension in a forward pass, and the images of that; it raises UnknownDimensionError, next.

    Most networks need the first pass alone.
    """
    yield ImagesOutermost(), images
    # One image, and another twice or, so that the number differs from N, three times.
    other = images[[0, 1, 1] if len(images) != 3 else [0, 1, 1, 1]]
    seen = ReLUInputs()
    yield seen, other
    yield FoundDimensions(len(other), seen.inputs), images


class ImagesOutermost(Dimensions):
    """Follows through the calls of one forward pass which tensors hold the images in their first dimension."""

    def begin(self, images: Tensor) -> None:
        """Mark them."""
        self._count = len(images)
        images._images_outermost_in = self  # type: ignore[attr-defined]

    def follow(self, func: Callable[..., Any], args: Any, output: Any) -> None:
        """Note what a call has returned."""
        first: Any = args[0] if args else None
        if func in VIEWS:
            self._follow_view(first, output)
            return
        # A size, a number, several tensors.
        if type(output) is not Tensor and not (output is first and isinstance(first, Tensor)):
            return
        keeps_rank = _KEEPS_RANK.get(func)
        if func is Tensor.__getitem__ and isinstance(args[1], tuple):
            keeps_rank = _keeps_outermost(args[1], first.dim())
        # What holds the images: the first argument, one of a list, or a later one, as of 1 - x or addcmul(b, a, x).
        source: Any = first
        if getattr(first, "_images_outermost_in", None) is not self:
            others = first if isinstance(first, list | tuple) else args[1:3]
            source = next((each for each in others if getattr(each, "_images_outermost_in", None) is self), None)
        holds: Any = output
        if keeps_rank is not None and source is not None:
            rank = output.dim()
            # x.mean((2, 3)): the one dimension of this size is there still, and the order is the same.
            if func in _REDUCES and tuple(source.shape).count(self._count) == 1:
                keeps_rank = False
            if (not keeps_rank or rank == source.dim()) and rank and output.size(0) == self._count:
                holds._images_outermost_in = self
                return
        # What changes a tensor in place without being known may have moved its images.
        if output is first:
            holds._images_outermost_in = None

    def _follow_view(self, whole: Any, output: Any) -> None:
        if output is whole:
            whole._images_outermost_in = None
        elif getattr(whole, "_images_outermost_in", None) is self:
            # Of N >= 2 images no other dimension has their step.
            for each in output if isinstance(output, list | tuple) else [output]:
                if each.dim() and each.size(0) == self._count and each.stride(0) == whole.stride(0):
                    each._images_outermost_in = self

    def by_image(self, pre_activations: Tensor) -> Tensor | None:
        """Return a ReLU's input, (N, ...), or raise :class:`UnknownDimensionError` where it is not known to be that."""
        if getattr(pre_activations, "_images_outermost_in", None) is self:
            return pre_activations
        raise UnknownDimensionError


def _keeps_outermost(index: tuple[Any, ...], rank: int) -> bool | None:
    """Return whether ``x[index]`` has the images outermost where x has them: as ``_KEEPS_RANK``, None where it may not.

    >>> [_keeps_outermost(each, 4) for each in ((slice(None), 0), (..., 0), (slice(None), [1, 0]), (0, slice(None)))]
    [False, False, True, None]
    """
    whole, *others = index if index else (None,)
    plain = all(each is None or isinstance(each, int | slice) for each in others)
    if whole is Ellipsis:
        return False if plain and sum(each is not None for each in others) < rank else None
    if not isinstance(whole, slice) or whole != slice(None):
        return None
    # Several lists of places, apart from each other, would come first.
    return not plain


class ReLUInputs(Dimensions):
    """Keeps the inputs of the ReLUs of a pass, in the order of the calls, for :class:`FoundDimensions`."""

    def __init__(self) -> None:
        self.inputs: list[Tensor] = []

    def begin(self, images: Tensor) -> None:
        """Forget those of an earlier pass."""
        self.inputs.clear()

    def by_image(self, pre_activations: Tensor) -> None:
        """Keep a copy, since the call may be in place."""
        self.inputs.append(pre_activations.detach().clone())

    def end(self) -> None:
        """Raise :class:`UnknownDimensionError`: the next pass tells."""
        raise UnknownDimensionError


class FoundDimensions(Dimensions):
    """Finds the images in the inputs of ReLUs by those of a second forward pass, call by call."""

    def __init__(self, few: int, inputs: list[Tensor]) -> None:
        # N of the second mini-batch, whose last two images are the same, and the inputs of its ReLUs.
        self._few, self._of_few = few, inputs

    def begin(self, images: Tensor) -> None:
        """Compare with the first of the inputs."""
        self._images, self._inputs = len(images), iter(self._of_few)

    def by_image(self, pre_activations: Tensor) -> Tensor | None:
        """Return the input of the next ReLU as (N, ...); None where it does not depend on the images."""
        other = next(self._inputs, None)
        if other is None or pre_activations.dim() != other.dim():
            raise self._differs()
        sizes = list(zip(pre_activations.shape, other.shape, strict=True))
        grown = [d for d, (size, small) in enumerate(sizes) if size != small]
        if not grown:
            return None
        (d, *more), (size, small) = grown, sizes[grown[0]]
        if more or small % self._few or size * self._few != small * self._images:
            raise ValueError(
                f"a rectifier met a tensor of shape {tuple(pre_activations.shape)} for {self._images} images and of "
                f"{tuple(other.shape)} for {self._few}: which dimension holds the images cannot be told"
            )
        # (N * k, ...), k rows per image.
        moved, k = pre_activations.movedim(d, 0), small // self._few
        if k == 1:
            return moved
        if self._innermost(other.movedim(d, 0), k):
            return moved.reshape(k, self._images, -1).transpose(0, 1).flatten(1)
        return moved.reshape(self._images, -1)

    def end(self) -> None:
        """Raise :class:`ValueError` unless all ReLUs of the second pass were met."""
        if next(self._inputs, None) is not None:
            raise self._differs()

    def _innermost(self, small: Tensor, k: int) -> bool:
        """Return whether the k rows per image lie as crops do, all first ones and then all second ones."""
        rows = small.reshape(len(small), -1).float()
        inner = rows.reshape(k, self._few, -1).transpose(0, 1)
        outer = rows.reshape(self._few, k, -1)
        # The two equal images have equal rows in the right order, but for rounding, which may differ by position.
        apart = [float((order[-1] - order[-2]).abs().max()) for order in (outer, inner)]
        if min(apart) > 1e-3 * float(rows.abs().max()):
            order = "in an order that is neither by image nor by row"
            raise ValueError(f"a rectifier met {k} rows per image {order}: which are those of an image cannot be told")
        return apart[1] < apart[0]

    def _differs(self) -> ValueError:
        return ValueError(
            f"the network calls other rectifiers for {self._images} images than for {self._few}: "
            "which dimension of their inputs holds the images cannot be told"
        )
