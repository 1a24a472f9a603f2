"""The score of an untrained network: Eq. 1 and Eq. 2 of Mellor et al., 2021, in one forward pass.

ReLUs are recorded at the call, not by hooks on modules: functions and in-place calls count, and each exactly once.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, Literal, NoReturn, TypeVar, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from naswot_lightning.logits import tensors_of
from naswot_lightning.naswot.compiled.codes import CodeDistances
from naswot_lightning.naswot.compiled.layers import average_pooled, normalized_by_batch
from naswot_lightning.naswot.image_dimension import (
    Dimensions,
    UnknownDimensionError,
    functions_named,
    ways_to_tell,
)
from naswot_lightning.naswot.isolation import UnseenCallError, isolated, unwrapped
from naswot_lightning.naswot.kernel import ActivationKernel, NoRectifierError

Variant = Literal["paper", "reference"]
Precision = Literal["32", "bf16"]
BatchNorm = Literal["batch", "running"]
Units = Literal["rectifiers", "all", "auto"]
Observers = Sequence[AbstractContextManager[object]]
Result = TypeVar("Result")
_HIDDEN = "where its units cannot be seen: call F.relu on the plain tensor"
# What view says to a feature map in channels_last memory.
_REFUSED = "view size is not compatible with input tensor's size and stride"


def naswot_score(
    network: nn.Module,
    images: Tensor,
    variant: Variant = "paper",
    batch_norm: BatchNorm = "batch",
    units: Units = "rectifiers",
) -> float:
    """Return the score s = log|K_H| of a network on one mini-batch (Eq. 2): higher is better.

    Args:
        network: any module; it is left exactly as it was found.
        images: (N, C, H, W) on the device of the network, N >= 2, in any memory format; or what else the network takes,
            such as (N, length) words.
        variant: see :func:`activation_kernel`, where the errors stand, too.
        batch_norm: see there.
        units: see there.

    Returns:
        The score; -inf where K_H is singular, as with two equal codes, nan where a ReLU met NaN.

    >>> images = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    >>> round(naswot_score(nn.ReLU(), images), 4)  # log of det [[2, 0, 1], [0, 2, 1], [1, 1, 2]] = log 4
    1.3863
    """
    kernel = activation_kernel(network, images, variant, batch_norm=batch_norm, units=units)
    if kernel.blind_spot is not None:
        warnings.warn(kernel.blind_spot, stacklevel=2)
    return kernel.logdet()


def activation_kernel(
    network: nn.Module,
    images: Tensor,
    variant: Variant = "paper",
    precision: Precision = "32",
    observers: Observers = (),
    batch_norm: BatchNorm = "batch",
    units: Units = "rectifiers",
) -> ActivationKernel:
    """Return K_H of a network on one mini-batch (Eq. 1), from one forward pass without gradients.

    ReLUs are seen at the call, whether modules or functions, in place or not, each exactly once. Everything but
    BatchNorm is in eval mode.

    Args:
        network: any module; it is left exactly as it was found.
        images: (N, C, H, W) on the device of the network, N >= 2.
        variant: "paper", or "reference" to count as the published code does: every module whose class name
            holds "ReLU", wrappers too, and nothing else, where its output is connected to the network's.
        precision: "32" as the network's own, or "bf16" to run it in bfloat16 autocast; codes, kernel and
            determinant are exact either way.
        observers: of the same forward pass, entered right before it and left right after; anew where it has to begin
            again.
        batch_norm: "batch" to normalise by the mini-batch, as the paper does, or "running" by the running averages, as
            in eval mode: mean 0 and variance 1 in a new network.
        units: "rectifiers", as the paper; "all" to count those of smooth activations, too (GELU, SiLU, Hardswish, ELU,
            SELU, CELU, Mish, Softplus), each on where its pre-activation is positive; "auto" for "rectifiers" where
            the network has any, else "all", with a second pass.

    Raises:
        NoRectifierError: the network has no unit of these.
        TypeError: the images are no tensor.
        ValueError: fewer than two images, or a variant, precision, mode of BatchNorm or kind of units that
            does not exist.

    >>> images = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    >>> kernel = activation_kernel(torch.nn.ReLU(), images)
    >>> kernel.n_units, kernel.matrix.tolist()
    (2, [[2, 0, 1], [0, 2, 1], [1, 1, 2]])
    """
    _check_arguments(images, variant, precision, batch_norm, units)
    if units == "auto":
        with suppress(NoRectifierError):
            return activation_kernel(network, images, variant, precision, observers, batch_norm)
        units = "all"
    network = unwrapped(network)
    by_batch = batch_norm == "batch"
    autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16")
    # Not inference_mode: what a network keeps of its first forward pass (a mask, a table) must serve its training.
    with torch.inference_mode(False), torch.no_grad():
        if variant == "reference":
            return in_channels_last(partial(_reference_kernel, network, by_batch, autocast), network, images)
        ways = ways_to_tell(images)
        while True:
            dimensions, given = next(ways)
            looking = observers if given is images else ()
            with suppress(UnknownDimensionError):
                for attempt in memory_attempts(network, given):
                    with attempt as batch, isolated(network, batch.device), autocast, ExitStack() as stack:
                        recorder = stack.enter_context(
                            ReLURecorder(batch, dimensions, by_batch, units == "all", looking)
                        )
                        # Entered last, a mode among them sees every call first.
                        for observer in looking:
                            stack.enter_context(observer)
                        network(batch)
                return recorder.kernel()


def _check_arguments(
    images: Tensor, variant: Variant, precision: Precision, batch_norm: BatchNorm, units: Units
) -> None:
    """Raise the errors of :func:`activation_kernel`."""
    chosen = {
        "variant": (variant, Variant), "precision": (precision, Precision),
        "batch_norm": (batch_norm, BatchNorm), "units": (units, Units),
    }  # fmt: skip
    for name, (value, known) in chosen.items():
        if value not in get_args(known):
            raise ValueError(f"{name} {value!r}: expected one of {', '.join(get_args(known))}")
    if variant == "reference" and units != "rectifiers":
        raise ValueError(f"units {units!r} and variant 'reference', which counts modules by their name: leave one out")
    expect_tensor(images)
    if images.dim() == 0 or images.shape[0] < 2:
        raise ValueError(f"images of shape {tuple(images.shape)}: a score compares at least 2 images")


def expect_tensor(images: object) -> None:
    """Raise :class:`TypeError` unless the images are one tensor."""
    if not isinstance(images, Tensor):
        wanted = "expected one tensor (N, C, H, W), as torch.stack or torch.as_tensor makes it"
        raise TypeError(f"images of type {type(images).__name__}: {wanted}")


def memory_attempts(network: nn.Module, images: Tensor) -> Iterator[AbstractContextManager[Tensor]]:
    """Yield one or two blocks in which to run a network on a copy of the images, which it may rectify in place.

    4-dimensional images are in channels_last memory, which feature maps take over. A network that refuses that memory
    ends the block, which must leave nothing behind then, and a second one follows in contiguous memory.
    """
    if images.dim() != 4:
        yield nullcontext(images.clone())
        return
    # NAS-Bench-201, 128 images of 3x32x32, two cores: 0.11 s per score where images in contiguous memory take 0.30 s.
    refused = False

    @contextmanager
    def channels_last() -> Iterator[Tensor]:
        nonlocal refused
        try:
            yield images.clone(memory_format=torch.channels_last)
        except RuntimeError as error:
            if _REFUSED not in str(error):
                raise
            refused = True

    yield channels_last()
    if refused:
        yield _contiguous(network, images)


@contextmanager
def _contiguous(network: nn.Module, images: Tensor) -> Iterator[Tensor]:
    """Give a copy of images in contiguous memory, with the network's weights in the same."""
    # A convolution returns channels_last where either its input or its weight is.
    before = [(weight, weight.data) for weight in network.parameters() if weight.dim() == 4]
    try:
        for weight, data in before:
            weight.data = data.contiguous()
        yield images.clone(memory_format=torch.contiguous_format)
    finally:
        for weight, data in before:
            weight.data = data


def in_channels_last(run: Callable[[Tensor], Result], network: nn.Module, images: Tensor) -> Result:
    """Return ``run(copy of the images)``, called twice where the network refuses channels_last memory."""
    for attempt in memory_attempts(network, images):
        with attempt as batch:
            result = run(batch)
    return result


_aten = torch.ops.aten
# Where a function takes running mean and variance, and whether to normalise by the mini-batch.
_NORMS: dict[Callable[..., Any], tuple[tuple[int, str], tuple[int, str], tuple[int, str]]] = {
    F.batch_norm: ((1, "running_mean"), (2, "running_var"), (5, "training")),
    F.instance_norm: ((1, "running_mean"), (2, "running_var"), (5, "use_input_stats")),
}
_norm: Any
for _norm in (torch.batch_norm, torch.native_batch_norm, _aten.batch_norm.default, _aten.native_batch_norm.default):
    _NORMS[_norm] = ((3, "running_mean"), (4, "running_var"), (5, "training"))
for _norm in (torch.instance_norm, _aten.instance_norm.default):
    _NORMS[_norm] = ((3, "running_mean"), (4, "running_var"), (5, "use_input_stats"))
# Of exported and decomposed networks: there is no argument to say it with.
_FIXED_NORMS = {_aten._native_batch_norm_legit_no_training.default, _aten._native_batch_norm_legit.default}


def _by_batch(func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the arguments with which a norm uses the statistics of the mini-batch, and updates none."""
    # As modules call it, 100 times in a network: no list, no dictionary.
    if func is F.batch_norm and len(args) >= 6:
        return (args[0], None, None, args[3], args[4], True, *args[6:]), kwargs
    if func in _FIXED_NORMS:
        raise ValueError(f"the network calls {func}, whose statistics are fixed: export it without decompositions")
    args, kwargs = list(args), dict(kwargs)
    for (position, name), value in zip(_NORMS[func], (None, None, True), strict=True):
        if position < len(args):
            args[position] = value
        else:
            kwargs[name] = value
    return args, kwargs


class BatchStatistics(TorchFunctionMode):
    """While active, norms that keep statistics use those of the mini-batch, and update none, whoever calls them."""

    # The modules stay as they are: a subclass may read their buffers, and SyncBatchNorm asks no other process.
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _NORMS or func in _FIXED_NORMS:
            args, kwargs = _by_batch(func, args, kwargs)
        return func(*args, **kwargs)


class ReLUObserver(AbstractContextManager["ReLUObserver"]):
    """Looks at the pre-activations of every ReLU while the kernel's forward pass runs.

    Entered right before a pass, and anew where the pass has to begin again: ``__enter__`` forgets what was seen.
    """

    def __exit__(self, *exception: object) -> None:
        """Keep what was seen."""

    @abstractmethod
    def see(self, pre_activations: Tensor) -> None:
        """Look at the input of a ReLU, (N, C, ...) or (N, units), before the call, which may be in place."""


class ReLURecorder(TorchFunctionMode):
    """While active, counts the codes of every ReLU that is called, and shows its input to observers of ReLUs."""

    def __init__(
        self, images: Tensor, dimensions: Dimensions, by_batch: bool, all_units: bool, observers: Observers
    ) -> None:
        super().__init__()
        self._codes = CodeDistances(len(images))
        self._smooth_units = 0
        self._dimensions = dimensions
        dimensions.begin(images)
        self._by_batch, self._all_units = by_batch, all_units
        self._observers = [each for each in observers if isinstance(each, ReLUObserver)]

    def kernel(self) -> ActivationKernel:
        """Return K_H of the pass, or raise :class:`NoRectifierError`."""
        self._dimensions.end()
        return self._codes.kernel(self._smooth_units, "all" if self._all_units else "rectifiers")

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # A network of NAS-Bench-201 makes 230 calls: one look-up for each, here, and one for the dimension.
        kwargs = kwargs or {}
        handler = _HANDLERS.get(func)
        # Fused, or of a quantized network.
        if handler is None and "relu" in getattr(func, "__name__", ""):
            _refuse(self, func, args, kwargs)
        output = func(*args, **kwargs) if handler is None else handler(self, func, args, kwargs)
        self._dimensions.follow(func, args, output)
        return output

    def rectify(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        """Count the codes of a ReLU's input (N, C, ...), and return what it returns."""
        x: Tensor = args[0] if args else kwargs["input"]
        if x.is_quantized or torch._C._functorch.is_functorch_wrapped_tensor(x):
            where = "a quantized tensor" if x.is_quantized else "torch.vmap, jvp or grad"
            raise UnseenCallError(f"the network rectifies within {where}, {_HIDDEN}")
        # Indices of words or places, which are clamped at 0, are no activations.
        by_image = self._dimensions.by_image(x) if x.is_floating_point() else None
        if by_image is None:
            return func(*args, **kwargs)
        if self._observers:
            # What is recorded is exact in autocast, too.
            with torch.autocast(x.device.type, enabled=False):
                for observer in self._observers:
                    observer.see(by_image)
        if by_image is x and func in _PLAIN_RELU and self._codes.takes(x):
            # Values are read once for codes and max. (A tensor that feeds several ReLUs is read once for each.)
            rectified = x
            if func in _RELU_IN_PLACE or kwargs.get("inplace"):
                # Written behind torch's back: whoever has saved the tensor for a backward pass must learn of it.
                torch.autograd.graph.increment_version(x)
            else:
                rectified = torch.empty_like(x)
            self._codes.pack(x, rectified)
            return rectified
        # Before the call, which may be in place.
        self._codes.add(by_image)
        return func(*args, **kwargs)

    def activate_smoothly(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        """Count the units of a smooth activation; their codes, too, where all units have one."""
        if self._all_units:
            return self.rectify(func, args, kwargs)
        return self.gate(func, args, kwargs)

    def gate(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        """Count the units of a sigmoid and the like, of which smooth activations are written by hand."""
        output = func(*args, **kwargs)
        self._smooth_units += output.numel() // self._codes.images
        return output

    def normalize(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        """Return what a norm returns, by the statistics that the score uses."""
        if self._by_batch:
            args, kwargs = _by_batch(func, args, kwargs)
        output = normalized_by_batch(*args, **kwargs) if func is F.batch_norm else None
        return func(*args, **kwargs) if output is None else output

    def pool(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        """Return what average pooling returns, by a quicker loop where there is one."""
        output = average_pooled(*args, **kwargs)
        return func(*args, **kwargs) if output is None else output


_Handler = Callable[[ReLURecorder, Callable[..., Any], Any, dict[str, Any]], Any]


def _rectify_from_zero(position: int, name: str, default: float | None) -> _Handler:
    """Return a handler of functions that are ReLUs where a bound, at ``position`` or called ``name``, is 0."""

    def handle(recorder: ReLURecorder, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        bound = args[position] if len(args) > position else kwargs.get(name, default)
        if isinstance(bound, Tensor):
            is_zero = bound.numel() > 0 and not bool(bound.any())
        else:
            is_zero = bound is not None and float(bound) == 0
        return recorder.rectify(func, args, kwargs) if is_zero else func(*args, **kwargs)

    return handle


def _rectify_larger(recorder: ReLURecorder, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Handle the larger of two tensors, which is a ReLU of one where the other is 0."""
    pair = (*args, *([kwargs["other"]] if "other" in kwargs else []))
    if len(pair) == 2 and isinstance(pair[1], Tensor):
        for x, bound in (pair, pair[::-1]):
            if not bool(bound.any()):
                return recorder.rectify(func, (x, bound), {name: kwargs[name] for name in kwargs if name != "other"})
    return func(*args, **kwargs)


def _rectify_by_mask(recorder: ReLURecorder, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Handle products with a mask, and what fills by one: a ReLU of x where they make max(x, 0) of it, and not x."""
    given = [each for each in (*args, *kwargs.values()) if isinstance(each, Tensor) and each.numel() > 1]
    if args and len(given) > 1 and len({each.shape for each in given}) == 1 and any(map(_may_be_mask, given)):
        # Of a copy, since the call may be in place.
        first = args[0].clone()
        made = func(first, *args[1:], **kwargs)
        made = first if made is None else made
        for x in given:
            if x.dtype == made.dtype and torch.equal(made, x.relu()) and not torch.equal(made, x):
                return recorder.rectify(lambda _: func(*args, **kwargs), (x,), {})
    return func(*args, **kwargs)


def _may_be_mask(tensor: Tensor) -> bool:
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        return False
    # The first image tells products of feature maps from those with a mask. One value does not: relu(x) is 0 at every
    # second place, and networks of relu(x) * y took 45 % longer.
    part = tensor[0]
    return tensor.dtype == torch.bool or (tensor.is_floating_point() and bool(((part == 0) | (part == 1)).all()))


def _refuse(recorder: ReLURecorder, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> NoReturn:
    raise UnseenCallError(f"the network calls {func.__name__}, {_HIDDEN}")


_PLAIN_RELU = {F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
_RELU_IN_PLACE = {torch.relu_, Tensor.relu_}
_SMOOTH = "silu gelu hardswish elu selu celu mish softplus"
_HANDLERS: dict[Callable[..., Any], _Handler] = {
    **dict.fromkeys(functions_named("relu relu6 leaky_relu prelu _prelu_kernel rrelu"), ReLURecorder.rectify),
    **dict.fromkeys(functions_named("hardtanh"), _rectify_from_zero(1, "min_val", -1.0)),
    **dict.fromkeys(functions_named("threshold"), _rectify_from_zero(1, "threshold", None)),
    **dict.fromkeys(functions_named("clamp clip clamp_min"), _rectify_from_zero(1, "min", None)),
    **dict.fromkeys(functions_named("maximum fmax max"), _rectify_larger),
    **dict.fromkeys(functions_named("mul multiply where masked_fill __setitem__"), _rectify_by_mask),
    **dict.fromkeys(functions_named("_addmm_activation _foreach_clamp_min _foreach_maximum"), _refuse),
    **dict.fromkeys(functions_named(_SMOOTH), ReLURecorder.activate_smoothly),
    **dict.fromkeys(functions_named("sigmoid tanh erf"), ReLURecorder.gate),
    **dict.fromkeys((*_NORMS, *_FIXED_NORMS), ReLURecorder.normalize),
    F.avg_pool2d: ReLURecorder.pool,
}


def _reference_kernel(network: nn.Module, by_batch: bool, autocast: torch.autocast, images: Tensor) -> ActivationKernel:
    """Return K_H over the modules that the published code marks: named "ReLU", with a gradient path to the output."""
    # The published code takes the first dimension for that of the images, several rows of an image together.
    codes, batch_statistics = CodeDistances(len(images)), BatchStatistics() if by_batch else nullcontext()
    with isolated(network, images.device), autocast, batch_statistics, ExitStack() as hooks:
        for module in _connected_relu_modules(network, images):
            hooks.enter_context(module.register_forward_pre_hook(lambda _, inputs: codes.add(inputs[0])))
        network(images)
    return codes.kernel()


def _connected_relu_modules(network: nn.Module, images: Tensor) -> set[nn.Module]:
    """Return the modules that the published code marks by a backward pass, from the graph of a forward pass."""
    outputs: list[tuple[nn.Module, Any]] = []

    def remember(module: nn.Module, inputs: Any, output: Any) -> None:
        outputs.extend((module, tensor.grad_fn) for tensor in tensors_of(output))

    with ExitStack() as hooks, torch.enable_grad():
        for module in network.modules():
            # Their class names may be those of wrappers, too, which the published code counts once more.
            if "ReLU" in str(type(module)):
                hooks.enter_context(module.register_forward_hook(remember))
        result = network(images.detach().clone().requires_grad_())
    # Back from the output through the graph of autograd, without recursion: networks are deep.
    reached: set[Any] = set()
    waiting = [tensor.grad_fn for tensor in tensors_of(result)]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in reached:
            reached.add(node)
            waiting += [parent for parent, _ in node.next_functions]
    return {module for module, node in outputs if node in reached}
