"""How diverse the codes, channels and gradients of the rectifiers are: one number that needs no other candidate."""

from __future__ import annotations

import math
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from naswot_lightning.logits import logits_of
from naswot_lightning.naswot import NoRectifierError
from naswot_lightning.naswot.image_dimension import VIEWS, ImagesOutermost, UnknownDimensionError
from naswot_lightning.naswot.naswot import ReLUObserver, ReLURecorder, in_channels_last
from naswot_lightning.scores.activation import MOST_IMAGES, patterns_of
from naswot_lightning.scores.base import ONE_PASS, Measured, score
from naswot_lightning.scores.gradients import (
    CONVOLUTIONS,
    LINEAR,
    detached_parameters,
    differentiable,
    kernel_of,
    run_with,
)

# Pixels that a correlation is taken over, at most: fewer where there are more channels than _WIDE, which bounds cost
# and memory.
_PIXELS, _WIDE, _PIXELS_OF_WIDE = 4096, 128, 1024
# Of the random direction in which the logits are differentiated, the same for every network.
_SEED = 20261130


@dataclass
class _Rectifier:
    """One call of a rectifier; what is of its gradient is 0 where none arrives."""

    pixels: int
    """of all images, that directions are taken over."""
    channels: int
    """C, whether they change or not."""
    patterns: float
    """distinct sign patterns of its units over the images."""
    directions: float
    """participation ratio of the correlation R of its input's channels, C^2 / |R|^2: from 1, all the same, to C."""
    gradient_directions: float
    """the same of the gradient by its input."""
    gradient: float
    """norm of that gradient, of all images."""

    @property
    def spread(self) -> float:
        """Directions of the gradient, as a share of the most that so many pixels and channels have: at most 1."""
        return self.gradient_directions / min(self.pixels, self.channels)


@score("diversity", source="ours", cost=f"{ONE_PASS} of {MOST_IMAGES} images, without gradients of weights")
def diversity(measured: Measured) -> float:
    """Return log sum P S h + log sum D h + mean log P h + log(1 + depth) + log min(D of the last, K - 1), of 16 images.

    Sums and mean are over the rectifiers that a gradient reaches: P, D and S are patterns, directions and spread of
    :class:`_Rectifier`, and h = 1 / (1 + g), with g the norm of the gradient beside that at the classifier's input, for
    random directions of the K logits. The depth is the middle between the most and the fewest convolutions with a
    kernel above 1, or attentions, on a path; the images are the first of the mini-batch. It is -inf where no gradient
    reaches a rectifier, nan where a value is not finite; a network without rectifiers raises :class:`NoRectifierError`.
    """
    # A product of five numbers, as a logarithm: codes and directions of the channels, where gradients spread and do
    # not explode; the codes of an average rectifier; the depth; and the directions that the classifier sees, of which
    # K - 1 tell K classes apart: those of a simplex. docs/score-evidence.md says how it was chosen.
    found, scale = _measure(measured)
    if not all(map(math.isfinite, (scale, *(each.gradient * each.directions for each in found)))):
        return math.nan
    live = [each for each in found if each.gradient > 0 and each.directions > 0]
    if not live or scale <= 0:
        return -math.inf
    health = [1 / (1 + each.gradient / scale) for each in live]
    codes = sum(each.patterns * each.spread * h for each, h in zip(live, health, strict=True))
    directions = sum(each.directions * h for each, h in zip(live, health, strict=True))
    average = sum(math.log(each.patterns * h) for each, h in zip(live, health, strict=True)) / len(live)
    depth = ((measured.convolutions.depth or 0) + (measured.convolutions.least_depth or 0)) / 2
    seen = min(live[-1].directions, max(measured.probe.num_classes - 1, 1))
    return math.log(codes * directions * (1 + depth) * seen) + average


def _measure(measured: Measured) -> tuple[list[_Rectifier], float]:
    """Return the rectifiers, and the norm of the gradient at the classifier's input."""
    images = measured.probe.images[:MOST_IMAGES]
    if not images.is_floating_point():
        raise ValueError(f"no gradient by images of type {images.dtype}, such as words: diversity needs floats")
    try:
        if measured.units != "all":
            with suppress(NoRectifierError) if measured.units == "auto" else nullcontext():
                return _run(measured, images, False)
        return _run(measured, images, True)
    except UnknownDimensionError:
        moved = "the network moves its images out of the first dimension, or by a call that is not known"
        raise ValueError(f"{moved}: diversity cannot follow") from None


def _run(measured: Measured, images: Tensor, all_units: bool) -> tuple[list[_Rectifier], float]:
    """Return what :func:`_measure` does; UnknownDimensionError where images are not outermost, NoRectifierError."""
    network, classes = measured.network, measured.probe.num_classes

    def run(batch: Tensor, of_logits: bool = True) -> tuple[list[_Rectifier], float]:
        with differentiable(network, batch.device):
            inputs = batch.detach().clone().requires_grad_()
            watched = _Watched()
            recorder, layers = ReLURecorder(inputs, _Followed(), True, all_units, [watched]), _Layers()
            with recorder, layers:
                output = run_with(network, detached_parameters(network), inputs)
            recorder.kernel()
            end = logits_of(output, len(batch), classes) if of_logits else layers.input
            if end is None or layers.input is None or not end.requires_grad:
                return watched.rectifiers(), 0.0
            directions = torch.randn(end.shape, generator=torch.Generator().manual_seed(_SEED)).to(end.device)
            # On its way back to the images it passes all rectifiers, which look at it.
            gradient = torch.autograd.grad(end, [layers.input, inputs], directions, allow_unused=True)[0]
        scale = 0.0 if gradient is None else float(_norm(gradient))
        # A classifier that begins with weights of 0, as of transformers, hands nothing back: behind it, then.
        return run(batch, False) if scale == 0 and of_logits else (watched.rectifiers(), scale)

    return in_channels_last(run, network, images)


class _Followed(ImagesOutermost):
    """Counts no unit that does not depend on the images, as of a table of positions: parameters are constant here."""

    def by_image(self, pre_activations: Tensor) -> Tensor | None:
        """Return a unit's input (N, ...); None where the images make no difference to it."""
        known = getattr(pre_activations, "_images_outermost_in", None) is self
        return super().by_image(pre_activations) if known or pre_activations.requires_grad else None


class _Watched(ReLUObserver):
    """Measures every rectifier that is called, and its gradient in a backward pass."""

    def __init__(self) -> None:
        # As :class:`_Rectifier` has them: pixels, channels, and (4,) float64 on the device, for which nothing waits
        # before the end.
        self._found: list[tuple[int, int, Tensor]] = []

    def rectifiers(self) -> list[_Rectifier]:
        """Return what was measured."""
        values = torch.stack([values for _, _, values in self._found]).tolist()
        return [_Rectifier(*shape, *each) for (*shape, _), each in zip(self._found, values, strict=True)]

    def see(self, pre_activations: Tensor) -> None:
        """Measure one rectifier."""
        with torch._C.DisableTorchFunction():
            values = pre_activations.detach()
            none, channels = values.new_zeros((), dtype=torch.float64), getattr(pre_activations, "_channels", None) or 1
            rows = _rows(values, channels)
            found = torch.stack([patterns_of(values).sum().double(), _participation(rows), none, none])

            def keep(gradient: Tensor) -> None:
                found[2] = _participation(_rows(gradient, channels))
                found[3] = _norm(gradient)

            if pre_activations.requires_grad:
                pre_activations.register_hook(keep)
        self._found.append((*rows.shape, found))


class _Layers(TorchFunctionMode):
    """Keeps the input of the convolution or linear layer called last, the classifier, and notes where channels are."""

    input: Tensor | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        layer = func in LINEAR or func in CONVOLUTIONS
        if layer:
            self.input = args[0] if args else kwargs["input"]
            output._channels = output.dim() - 1 - (len(kernel_of(args, kwargs)) if func in CONVOLUTIONS else 0)
        elif args:
            # Of a pair, as of x + y or of several that are joined, the first that knows.
            given = args[0] if isinstance(args[0], list | tuple) else args[:3]
            source = next((each for each in given if getattr(each, "_channels", None) is not None), None)
            for each in output if isinstance(output, list | tuple) else [output]:
                if source is not None and isinstance(each, Tensor):
                    _follow_channels(func, source, each)
        return output


def _follow_channels(func: Any, source: Tensor, output: Tensor) -> None:
    """Note which dimension of an output holds the channels of what it was made of; none where that is not known."""
    shape, place = source.shape, source._channels  # type: ignore[attr-defined]
    if func in VIEWS:
        # A dimension has its step in memory, wherever it goes.
        same, step = output is source, source.stride(place)
        fitting = [d for d, size in enumerate(output.shape) if not same and size > 1 and output.stride(d) == step]
    elif output.dim() == source.dim():
        fitting = [place]
    else:
        before = shape[:place].numel(), shape[place]
        fitting = [d for d, size in enumerate(output.shape) if (output.shape[:d].numel(), size) == before]
    output._channels = fitting[0] if fitting else None  # type: ignore[attr-defined]


def _norm(values: Tensor) -> Tensor:
    return values.detach().square().sum(dtype=torch.float64).sqrt()


def _rows(values: Tensor, channels: int) -> Tensor:
    """Return pixels of all images (n, C), C the dimension ``channels``: at an even distance where there are many."""
    rows = values.movedim(channels, -1).flatten(0, -2).float()
    most = _PIXELS if rows.shape[1] <= _WIDE else _PIXELS_OF_WIDE
    return rows[:: -(-len(rows) // most)]


def _participation(rows: Tensor) -> Tensor:
    """Return C^2 / |R|^2 of the correlation R, (C, C), of the C columns; 0 where none changes."""
    centred = rows - rows.mean(dim=0)
    lengths = torch.linalg.vector_norm(centred, dim=0)
    # NaN changes.
    changes = lengths != 0
    unit = centred / torch.where(changes, lengths, torch.inf)
    # R and the products of the rows have the same norm; a channel that never changes is not one.
    products = unit.T @ unit if unit.shape[1] <= len(unit) else unit @ unit.T
    count = changes.sum().double()
    return torch.where(count > 0, count**2 / products.square().sum().double(), 0.0)
