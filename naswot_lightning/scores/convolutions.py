"""The convolutions of a network, as one small forward pass calls them: their widths, and the longest path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from naswot_lightning.logits import tensors_of
from naswot_lightning.score.image_dimension import functions_named
from naswot_lightning.score.memory_format import in_channels_last
from naswot_lightning.scores.gradients import differentiable, run_with

PLAIN_CONVOLUTIONS = functions_named("conv1d conv2d conv3d")
CONVOLUTIONS = PLAIN_CONVOLUTIONS | functions_named("conv_transpose1d conv_transpose2d conv_transpose3d")
LINEAR = functions_named("linear")


@dataclass(frozen=True)
class Convolutions:
    """What one forward pass shows of a network's convolutions, transposed ones too.

    Attributes:
        widths: output channels of each, in the order of the calls; one that is called twice is there twice.
        depth: the most convolutions with a kernel above 1 on a path from the images to an output; None where there is
            no path.
    """

    widths: tuple[int, ...]
    depth: int | None


def list_convolutions(network: nn.Module, images: Tensor) -> Convolutions:
    """Return the convolutions that a forward pass calls, whether modules or functions.

    Paths are those of the autograd graph, so that they are the same for every network that computes the same way, and
    a branch that the output does not need is on none of them. (A product with zero is a path: the operation ``none``
    of NAS-Bench-201 carries one where nothing else joins its source to the output.) Convolutions within an
    ``autograd.Function`` of the network's own are not seen.

    Args:
        network: any module; it is left as it was found.
        images: (N, C, H, W); two suffice: of one, BatchNorm refuses to take the statistics of 1 x 1 feature maps.
    """
    return in_channels_last(lambda batch: _list_convolutions(network, batch), network, images)


def _list_convolutions(network: nn.Module, images: Tensor) -> Convolutions:
    with differentiable(network, images.device):
        fixed = {name: parameter.detach() for name, parameter in network.named_parameters()}
        with _Recorder() as recorder:
            output = run_with(network, fixed, images.detach().clone().requires_grad_())
        ends = [tensor.grad_fn for tensor in tensors_of(output) if tensor.grad_fn is not None]
        depth = max((_longest_path(end, recorder.kernels) for end in ends), default=None)
    return Convolutions(tuple(recorder.widths), depth)


def kernel_of(args: Any, kwargs: dict[str, Any] | None) -> tuple[int, ...]:
    """Return the sides of the kernel of a convolution that was called with these arguments."""
    weight: Tensor = args[1] if len(args) > 1 else (kwargs or {})["weight"]
    return tuple(weight.shape[2:])  # of (C_out, C_in / groups, *kernel)


class _Recorder(TorchFunctionMode):
    """While active, notes the output channels of every convolution, and the side of its kernel by its graph node."""

    def __init__(self) -> None:
        super().__init__()
        self.widths: list[int] = []
        self.kernels: dict[Any, int] = {}  # keeps the nodes: another node in their place would take over their entry

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in CONVOLUTIONS:
            kernel = kernel_of(args, kwargs)
            self.widths.append(output.shape[-1 - len(kernel)])
            if output.grad_fn is not None:
                self.kernels[output.grad_fn] = max(kernel)
        return output


def _longest_path(output: Any, kernels: dict[Any, int]) -> int:
    """Return the most nodes with a kernel above 1 on a path of the graph that ends in ``output``.

    Every node is looked at once, when those that it needs are known: the number of paths does not matter, and there is
    no recursion.
    """
    longest: dict[Any, int] = {}
    waiting = [output]
    while waiting:
        node = waiting[-1]
        needed = [parent for parent, _ in node.next_functions if parent is not None]
        missing = [parent for parent in needed if parent not in longest]
        if missing:
            waiting += missing
            continue
        waiting.pop()
        longest[node] = max((longest[parent] for parent in needed), default=0) + (kernels.get(node, 0) > 1)
    return longest[output]
