"""Gradients of a network that is left as it was found: of the loss, and along the paths of its convolutions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

from naswot_lightning.logits import logits_of, tensors_of
from naswot_lightning.naswot.image_dimension import functions_named
from naswot_lightning.naswot.isolation import UnseenCallError, all_modules, isolated
from naswot_lightning.naswot.naswot import BatchStatistics, in_channels_last

PLAIN_CONVOLUTIONS = functions_named("conv1d conv2d conv3d")
CONVOLUTIONS = PLAIN_CONVOLUTIONS | functions_named("conv_transpose1d conv_transpose2d conv_transpose3d")
LINEAR = functions_named("linear")
_CHECKPOINTS = "the network checkpoints its activations: build it without, to score its gradients and its depth"


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute by one thread: sums depend on how many threads share them, and BatchNorm carries their rounding far."""
    # With one and with two threads ``grad_norm`` differed by up to 3 % for a plain network of NDS.
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(count)


@contextmanager
def differentiable(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Within the block gradients are recorded, at full precision, whatever the caller has switched.

    A network that checkpoints its activations is a RuntimeError: it would be run again in the backward pass, when its
    tensors are its own again.
    """
    with (
        torch.autograd.graph.disable_saved_tensors_hooks(_CHECKPOINTS),
        isolated(network, device),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
    ):
        yield


def run_with(network: nn.Module, state: dict[str, Tensor], images: Tensor) -> Any:
    """Return what the network returns, with tensors of ``state`` in place of its own, BatchNorm by the mini-batch.

    ``state`` goes by the names of ``named_parameters()`` and ``named_buffers()``, which name a shared tensor once.
    """
    # Images and buffers are copies, since a network may change both in place.
    named = dict(network.named_buffers())
    buffers = {name: buffer.clone() for name, buffer in named.items()}
    named.update(network.named_parameters())
    tensors = {id(named[name]): tensor for name, tensor in {**buffers, **state}.items()}
    with replaced(network, tensors), BatchStatistics():
        return network(images.clone())


def run_on(network: nn.Module, images: Tensor) -> tuple[Tensor, Any]:
    """Return images to differentiate by, and what the network returns for them with constant parameters."""
    inputs = images.detach().clone().requires_grad_()
    return inputs, run_with(network, detached_parameters(network), inputs)


def detached_parameters(network: nn.Module) -> dict[str, Tensor]:
    """Return the parameters by name, without gradients of their own."""
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


@contextmanager
def replaced(network: nn.Module, tensors: dict[int, Tensor]) -> Iterator[None]:
    """Within the block, parameters and buffers are others, by the ``id`` of the tensors that they take the place of.

    TorchScript, which keeps its tensors to itself, is an UnseenCallError.
    """
    # ``torch.func.functional_call`` goes by names: of a module that has two it replaces one, and leaves it replaced.
    modules = all_modules(network)
    if any(isinstance(module, torch.jit.ScriptModule) for module in modules):
        raise UnseenCallError("a part of the network is TorchScript: score it as it was before torch.jit.script")
    members: list[dict[str, Any]] = [own for m in modules for own in (m._parameters, m._buffers) if own]
    before = [dict(own) for own in members]
    try:
        for own in members:
            own.update({name: tensors[id(tensor)] for name, tensor in own.items() if id(tensor) in tensors})
        yield
    finally:
        for own, kept in zip(members, before, strict=True):
            own.update(kept)


def weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights of convolutions and linear layers by parameter name; a shared one once."""
    layers = (_ConvNd, nn.Linear)
    wanted = {id(module._parameters.get("weight")) for module in network.modules() if isinstance(module, layers)}
    return {name: parameter for name, parameter in network.named_parameters() if id(parameter) in wanted}


def gradients(output: Tensor, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return d(output) / d(input) for every input, zeros where the output does not depend on it."""
    if not inputs or not output.requires_grad:
        return [torch.zeros_like(tensor) for tensor in inputs]
    return torch.autograd.grad(output, inputs, allow_unused=True, materialize_grads=True)


def positive_sum(parts: Sequence[Tensor]) -> float:
    """Return the sum of non-negative scalars in float64; -inf where it is 0, nan where it is not finite."""
    total = float(torch.stack(list(parts)).cpu().double().sum()) if parts else 0.0
    if not math.isfinite(total):
        return math.nan
    return total if total > 0 else -math.inf


def correlations_of_rows(matrix: Tensor) -> Tensor:
    """Return the (N, N) correlation matrix of the rows; a constant row is correlated with none, itself included."""
    centred = matrix - matrix.mean(dim=1, keepdim=True)
    lengths = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    rows = centred / torch.where(lengths > 0, lengths, 1.0)
    return rows @ rows.T


@dataclass(frozen=True)
class Convolutions:
    """What one forward pass shows of a network's convolutions, transposed ones too."""

    widths: tuple[int, ...]
    """output channels of each, in the order of the calls; one that is called twice is there twice."""
    depth: int | None
    """the most convolutions with a kernel above 1, or attentions, on a path from the images to an output; None without
    a path."""
    least_depth: int | None
    """the fewest on such a path, to the same output."""


def list_convolutions(network: nn.Module, images: Tensor) -> Convolutions:
    """Return the convolutions that a forward pass calls, modules or functions, but within an ``autograd.Function``.

    Two images (N, C, H, W) suffice: of one, BatchNorm refuses to take the statistics of 1 x 1 feature maps.
    """

    def measure(batch: Tensor) -> Convolutions:
        with differentiable(network, batch.device):
            with _ConvolutionRecorder() as recorder:
                _, output = run_on(network, batch)
            # Paths are those of the autograd graph: a branch that the output does not need is on none. A product
            # with zero is a path: ``none`` of NAS-Bench-201 carries one where nothing else joins source and output.
            ends = [tensor.grad_fn for tensor in tensors_of(output) if tensor.grad_fn is not None]
            depth, least = max((_depths(end, recorder.kernels) for end in ends), default=(None, None))
        return Convolutions(tuple(recorder.widths), depth, least)

    return in_channels_last(measure, network, images)


def kernel_of(args: Any, kwargs: dict[str, Any] | None) -> tuple[int, ...]:
    """Return the sides of the kernel of a convolution that was called with these arguments."""
    # (C_out, C_in / groups, *kernel)
    weight: Tensor = args[1] if len(args) > 1 else (kwargs or {})["weight"]
    return tuple(weight.shape[2:])


class _ConvolutionRecorder(TorchFunctionMode):
    """While active, notes the output channels of every convolution, and the side of its kernel by its graph node."""

    def __init__(self) -> None:
        super().__init__()
        self.widths: list[int] = []
        # Keeps the nodes: another node at their address would take over their entry.
        self.kernels: dict[Any, int] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in CONVOLUTIONS:
            kernel = kernel_of(args, kwargs)
            self.widths.append(output.shape[-1 - len(kernel)])
            if output.grad_fn is not None:
                self.kernels[output.grad_fn] = max(kernel)
        return output


def _depths(output: Any, kernels: dict[Any, int]) -> tuple[int, int]:
    """Return the most and the fewest nodes that let pixels look at others on a path that ends in ``output``."""
    # Every node is looked at once, when those that it needs are known, without recursion.
    depths: dict[Any, tuple[int, int]] = {}
    waiting = [output]
    while waiting:
        node = waiting[-1]
        if node.name() == "CheckpointFunctionBackward":
            # With ``use_reentrant=True`` the graph shows nothing of what is within.
            raise RuntimeError(_CHECKPOINTS)
        needed = [parent for parent, _ in node.next_functions if parent is not None]
        missing = [parent for parent in needed if parent not in depths]
        if missing:
            waiting += missing
            continue
        waiting.pop()
        own = kernels.get(node, 0) > 1 or _is_attention(node)
        most, fewest = zip(*(depths[parent] for parent in needed), strict=True) if needed else ((0,), (0,))
        depths[node] = max(most) + own, min(fewest) + own
    return depths[output]


def _is_attention(node: Any) -> bool:
    """Return whether a node of the graph is fused attention, or the softmax of attention that is written by hand."""
    name = node.name()
    # Its weights are (N, ..., L, L); those of two dimensions are of classes or channels.
    return name.startswith("ScaledDotProduct") or (
        name in ("SoftmaxBackward0", "SafeSoftmaxBackward0") and node._saved_result.dim() > 2
    )


@dataclass(frozen=True)
class LossGradients:
    """What one backward pass of the cross-entropy L says of convolutions and linear layers."""

    of_weights: list[tuple[Tensor, Tensor]]
    """(weight, dL/dweight) of every layer; a shared weight once."""
    of_channels: list[Tensor]
    """for every call of a layer (N, C), the sum over the pixels of a * dL/da, where a is its output."""


def loss_gradients(network: nn.Module, images: Tensor, labels: Tensor, num_classes: int) -> LossGradients:
    """Return the gradients of the cross-entropy of the labels, from one forward and backward pass."""

    def measure(batch: Tensor) -> LossGradients:
        with differentiable(network, batch.device):
            inputs = free_weights(network)
            # Outputs are changed by a ReLU in place behind a convolution, say: once more, with copies.
            for copies in (False, True):
                with _Channels(copies) as channels:
                    loss = cross_entropy(network, inputs, batch, labels, num_classes)
                if not channels.are_changed():
                    break
            found = gradients(loss, list(inputs.values()))
        of_weights = [(weight.detach(), gradient) for weight, gradient in zip(inputs.values(), found, strict=True)]
        return LossGradients(of_weights, list(channels.sums.values()))

    with one_thread():
        return in_channels_last(measure, network, images)


def free_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights of convolutions and linear layers by name, to differentiate by."""
    # Views of the same memory: gradients reach them whatever the parameters' own flags, and leave ``.grad`` alone.
    return {name: weight.detach().requires_grad_() for name, weight in weights(network).items()}


def cross_entropy(
    network: nn.Module, state: dict[str, Tensor], images: Tensor, labels: Tensor, num_classes: int
) -> Tensor:
    """Return the mean cross-entropy of the labels, with tensors of ``state`` in place of the network's own."""
    logits = logits_of(run_with(network, state, images), len(images), num_classes)
    # A copy: the caller's labels may be an inference tensor.
    return F.cross_entropy(logits, labels.to(images.device).clone())


class _Channels(TorchFunctionMode):
    """While active, observes the outputs of convolutions and linear layers; a backward pass then fills ``sums``."""

    def __init__(self, copies: bool) -> None:
        super().__init__()
        # By the number of the call (N, C), the sum over the pixels of a * dL/da.
        self.sums: dict[int, Tensor] = {}
        # Copies of the outputs are kept for networks that change them in place.
        self._copies = copies
        # Outputs without graph, and how often they had been written to when they were returned.
        self._outputs: list[tuple[Tensor, int]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if not ((func in LINEAR or func in CONVOLUTIONS) and output.requires_grad):
            return output
        # (N, ..., C) of a linear layer, (N, C, ...) of a convolution
        pixels = tuple(range(1, output.dim() - 1) if func in LINEAR else range(-len(kernel_of(args, kwargs)), 0))
        values = output.detach().clone() if self._copies else output.detach()
        position = len(self._outputs)
        self._outputs.append((values, values._version))

        def keep(gradient: Tensor) -> None:
            # In place: whatever needed the values has had its turn. New memory would cost a tenth of the pass.
            products = values.mul_(gradient)
            self.sums[position] = products.sum(pixels) if pixels else products.clone()

        output.register_hook(keep)
        return output

    def are_changed(self) -> bool:
        """Return whether an output was written to since, so that its values are not those of the layer."""
        return any(values._version != version for values, version in self._outputs)
