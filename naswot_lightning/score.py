"""The score of an untrained network: Eq. 1 and Eq. 2 of Mellor et al., 2021, in one forward pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from naswot_lightning.codes import PackedCodes, is_packable, product_distances
from naswot_lightning.normalization import normalized_by_batch
from naswot_lightning.pooling import average_pooled
from naswot_lightning.untouched import untouched

Variant = Literal["paper", "reference"]
Precision = Literal["32", "bf16"]


class NoRectifierError(ValueError):
    """The forward pass met no rectified linear unit, so that there is no code to compare."""


@dataclass(frozen=True)
class ActivationKernel:
    """The kernel K_H of one mini-batch (Eq. 1).

    Attributes:
        matrix: (N, N) int64 on the CPU, N_A - d_H(c_i, c_j).
        n_units: N_A, rectified units per image; every diagonal entry.
        has_nan: a rectifier met NaN, so that the codes mean nothing.
    """

    matrix: Tensor
    n_units: int
    has_nan: bool = False

    def logdet(self) -> float:
        """Return log|K_H| in float64; -inf where K_H is singular, nan where a rectifier met NaN.

        K_H is positive semi-definite: each unit adds z z^T + (1 - z)(1 - z)^T. So log|K_H| is the log-sum of
        Cholesky pivots, and a pivot that vanishes beside rounding means a singular matrix. (General LU
        factorisations return a finite number with a wrong or random sign for many singular matrices.)
        """
        if self.has_nan:
            return float("nan")
        if self._has_equal_codes():
            return float("-inf")
        matrix = self.matrix.to(torch.float64)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        pivots = factor.diagonal().square()
        rounding = matrix.shape[0] * torch.finfo(torch.float64).eps * max(self.n_units, 1)
        if int(failed) != 0 or float(pivots.min()) <= rounding:
            return float("-inf")
        return float(pivots.log().sum())

    def _has_equal_codes(self) -> bool:
        return int((self.matrix == self.n_units).sum()) > self.matrix.shape[0]


def naswot_score(network: nn.Module, images: Tensor, variant: Variant = "paper") -> float:
    """Return the score s = log|K_H| of a network on one mini-batch (Eq. 2): higher is better.

    Args:
        network: any module; it is left exactly as it was found.
        images: (N, C, H, W) on the device of the network, N >= 2.
        variant: see :func:`activation_kernel`.

    Returns:
        The score; -inf where two images have the same code or K_H is singular otherwise, nan where the
        network's activations are NaN.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    return activation_kernel(network, images, variant).logdet()


def activation_kernel(
    network: nn.Module, images: Tensor, variant: Variant = "paper", precision: Precision = "32"
) -> ActivationKernel:
    """Return K_H of a network on one mini-batch (Eq. 1), from one forward pass without gradients.

    Rectifiers are seen at the call, whether modules or functions, in place or not, each exactly once. While
    they are recorded, BatchNorm normalises by the mini-batch and everything else is in eval mode.

    Args:
        network: any module; it is left exactly as it was found.
        images: (N, C, H, W) on the device of the network, N >= 2.
        variant: "paper", or "reference" to count as the published code does: every module whose class name
            holds "ReLU", wrappers too, and nothing else, where its output is connected to the network's.
        precision: "32" as the network's own, or "bf16" to run it in bfloat16 autocast; codes, kernel and
            determinant are exact either way.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
        ValueError: fewer than two images, or a variant that does not exist.
    """
    for name, value, kinds in (("variant", variant, Variant), ("precision", precision, Precision)):
        if value not in get_args(kinds):
            raise ValueError(f"{name} {value!r}: expected one of {', '.join(get_args(kinds))}")
    if images.dim() == 0 or images.shape[0] < 2:
        raise ValueError(f"images of shape {tuple(images.shape)}: a score compares at least 2 images")
    network = getattr(network, "_orig_mod", network)  # a compiled network hides its calls: take the original
    with (
        untouched(network, images.device),
        torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"),
    ):
        counted = _connected_relu_modules(network, images) if variant == "reference" else None
        codes = CodeDistances(images.shape[0])
        with torch.inference_mode():
            if counted is None:
                with RectifierRecorder(codes):
                    network(images)
            else:
                _record_modules(network, images, counted, codes)
    return codes.kernel()


class CodeDistances:
    """Sum of the Hamming distances of the codes of rectifiers, layer by layer.

    Args:
        images: N, the size of the mini-batch.
    """

    def __init__(self, images: int) -> None:
        self._images = images
        self._packed: PackedCodes | None = None  # of tensors on the CPU
        self._products: Tensor | None = None  # of tensors elsewhere
        self._n_units = 0
        self._nan: list[Tensor] = []

    def add(self, pre_activations: Tensor) -> None:
        """Count the codes of one rectifier.

        Args:
            pre_activations: its input, (N, ...) or (N * k, ...) with images outermost.
        """
        tensor = self._by_image(pre_activations)
        if tensor.device.type == "cpu" and tensor.is_floating_point():
            self._on_cpu().add(tensor)
        else:
            distances, nan = product_distances(tensor.flatten(1))
            self._products = distances if self._products is None else self._products.add_(distances)
            self._nan.append(nan)
        self._n_units += pre_activations.numel() // self._images

    def rectify(self, pre_activations: Tensor, inplace: bool) -> Tensor | None:
        """Count the codes of one rectifier and return max(x, 0), or None where only :meth:`add` will do.

        The values are read once for both. (A tensor that feeds several rectifiers is read once for each.)
        """
        if pre_activations.shape[:1] != (self._images,) or not is_packable(pre_activations):
            return None
        if inplace and not pre_activations.is_inference():
            return None  # autograd would not learn of the change
        rectified = pre_activations if inplace else torch.empty_like(pre_activations)
        self._on_cpu().add(pre_activations, rectified)
        self._n_units += pre_activations.numel() // self._images
        return rectified

    def kernel(self) -> ActivationKernel:
        """Return K_H = N_A - d_H."""
        parts = [] if self._packed is None else [self._packed.distances()]
        parts += [] if self._products is None else [self._products.cpu()]
        if not parts:
            raise NoRectifierError(
                "the network called no rectified linear unit (ReLU, ReLU6, LeakyReLU, PReLU, clamp at 0): "
                "the score needs at least one"
            )
        nan = any(bool(flag) for flag in self._nan) or (self._packed is not None and self._packed.has_nan)
        return ActivationKernel(self._n_units - sum(parts[1:], parts[0]), self._n_units, nan)

    def _on_cpu(self) -> PackedCodes:
        if self._packed is None:
            self._packed = PackedCodes(self._images)
        return self._packed

    def _by_image(self, tensor: Tensor) -> Tensor:
        if tensor.dim() > 0 and tensor.shape[0] == self._images:
            return tensor
        if tensor.dim() == 0 or tensor.shape[0] % self._images:
            raise ValueError(
                f"a rectifier met a tensor of shape {tuple(tensor.shape)}: its first dimension is not a "
                f"multiple of the {self._images} images"
            )
        return tensor.reshape(self._images, -1)


class RectifierRecorder(TorchFunctionMode):
    """While active, hands the input of every rectifier that is called to ``codes``."""

    def __init__(self, codes: CodeDistances) -> None:
        super().__init__()
        self._codes = codes

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        is_rectifier = _RECTIFIERS.get(func)
        if is_rectifier is not None and is_rectifier(args, kwargs):
            return self._rectify(func, args, kwargs)
        faster = _FASTER.get(func)
        output = None if faster is None else faster(*args, **kwargs)
        return func(*args, **kwargs) if output is None else output

    def _rectify(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        x = args[0] if args else kwargs["input"]
        if func in _PLAIN_RELU:
            rectified = self._codes.rectify(x, inplace=func in _RELU_IN_PLACE or bool(kwargs.get("inplace")))
            if rectified is not None:
                return rectified
        self._codes.add(x)  # before the call, which may be in place
        return func(*args, **kwargs)


def _always(args: Any, kwargs: dict[str, Any]) -> bool:
    return True


def _zero_bound(position: int, name: str, default: float | None) -> Callable[[Any, dict[str, Any]], bool]:
    """Return whether the lower bound, the argument at ``position`` or called ``name``, is 0."""

    def is_zero(args: Any, kwargs: dict[str, Any]) -> bool:
        bound = args[position] if len(args) > position else kwargs.get(name, default)
        return isinstance(bound, int | float) and bound == 0

    return is_zero


_RECTIFIERS: dict[Callable[..., Any], Callable[[Any, dict[str, Any]], bool]] = {
    **dict.fromkeys((F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu6), _always),
    **dict.fromkeys((F.leaky_relu, F.leaky_relu_, F.prelu, torch.prelu, Tensor.prelu, F.rrelu, F.rrelu_), _always),
    **dict.fromkeys((F.hardtanh, F.hardtanh_), _zero_bound(1, "min_val", -1.0)),
    **dict.fromkeys((F.threshold, torch.threshold_), _zero_bound(1, "threshold", None)),
    **dict.fromkeys(
        (torch.clamp, torch.clamp_, Tensor.clamp, Tensor.clamp_, torch.clip, Tensor.clip, Tensor.clip_),
        _zero_bound(1, "min", None),
    ),
    **dict.fromkeys(
        (torch.clamp_min, torch.clamp_min_, Tensor.clamp_min, Tensor.clamp_min_), _zero_bound(1, "min", None)
    ),
}
_RELU_IN_PLACE = {torch.relu_, Tensor.relu_}
_PLAIN_RELU = {F.relu, torch.relu, Tensor.relu} | _RELU_IN_PLACE
# What computes the same sooner, or returns None where it does not apply.
_FASTER: dict[Callable[..., Any], Callable[..., Tensor | None]] = {
    F.avg_pool2d: average_pooled,
    F.batch_norm: normalized_by_batch,
}


def _connected_relu_modules(network: nn.Module, images: Tensor) -> set[nn.Module]:
    """Return the modules that the published code marks: named "ReLU", with a gradient path to the output.

    The published code marks them by a backward pass; following the graph of the forward pass finds the same.
    """
    outputs: list[tuple[nn.Module, Any]] = []

    def remember(module: nn.Module, inputs: Any, output: Any) -> None:
        outputs.extend((module, tensor.grad_fn) for tensor in _tensors(output))

    hooks = [module.register_forward_hook(remember) for module in _named_relu(network)]
    try:
        with torch.inference_mode(False), torch.enable_grad():
            result = network(images.detach().clone().requires_grad_())
    finally:
        for hook in hooks:
            hook.remove()
    reachable = _ancestors([tensor.grad_fn for tensor in _tensors(result)])
    return {module for module, node in outputs if node in reachable}


def _record_modules(network: nn.Module, images: Tensor, counted: set[nn.Module], codes: CodeDistances) -> None:
    def count(module: nn.Module, inputs: Any) -> None:
        codes.add(inputs[0])

    hooks = [module.register_forward_pre_hook(count) for module in counted]
    try:
        network(images)
    finally:
        for hook in hooks:
            hook.remove()


def _named_relu(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if "ReLU" in str(type(module))]


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, dict):
        output = list(output.values())
    return [t for item in output for t in _tensors(item)] if isinstance(output, list | tuple) else []


def _ancestors(roots: list[Any]) -> set[Any]:
    found: set[Any] = set()
    stack = [root for root in roots if root is not None]
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack += [parent for parent, _ in node.next_functions if parent is not None]
    return found
