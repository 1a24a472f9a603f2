"""The loss of the probe's labels, and what one backward pass through it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from naswot_lightning.logits import logits_of
from naswot_lightning.score.memory_format import in_channels_last
from naswot_lightning.scores.convolutions import CONVOLUTIONS, LINEAR, kernel_of
from naswot_lightning.scores.gradients import differentiable, gradients, one_thread, run_with, weights


@dataclass(frozen=True)
class LossGradients:
    """What one backward pass of the cross-entropy L says of convolutions and linear layers.

    Attributes:
        of_weights: (weight, dL/dweight) of every layer; a shared weight once.
        of_channels: for every call of a layer (N, C), the sum over the pixels of a * dL/da, where a is its output.
    """

    of_weights: list[tuple[Tensor, Tensor]]
    of_channels: list[Tensor]


def loss_gradients(network: nn.Module, images: Tensor, labels: Tensor, num_classes: int) -> LossGradients:
    """Return the gradients of the cross-entropy of the labels, from one forward and backward pass.

    Raises:
        ValueError: the network does not return logits of the classes (:func:`~naswot_lightning.logits.logits_of`).
    """
    with one_thread():
        return in_channels_last(partial(_loss_gradients, network, labels, num_classes), network, images)


def _loss_gradients(network: nn.Module, labels: Tensor, num_classes: int, images: Tensor) -> LossGradients:
    with differentiable(network, images.device):
        inputs = free_weights(network)
        channels = _Channels()
        with channels:
            loss = cross_entropy(network, inputs, images, labels, num_classes)
        if channels.are_changed():  # a rectifier in place behind a convolution, say: once more, with copies
            channels = _Channels(copies=True)
            with channels:
                loss = cross_entropy(network, inputs, images, labels, num_classes)
        found = gradients(loss, list(inputs.values()))
    of_weights = [(weight.detach(), gradient) for weight, gradient in zip(inputs.values(), found, strict=True)]
    return LossGradients(of_weights, list(channels.sums.values()))


def free_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights of convolutions and linear layers by name, to differentiate by.

    Views of the same memory: gradients reach them whatever the parameters' own flags, and leave ``.grad`` alone.
    """
    return {name: weight.detach().requires_grad_() for name, weight in weights(network).items()}


def cross_entropy(
    network: nn.Module, state: dict[str, Tensor], images: Tensor, labels: Tensor, num_classes: int
) -> Tensor:
    """Return the mean cross-entropy of the labels, with tensors of ``state`` in place of the network's own.

    Raises:
        ValueError: the network does not return logits of the classes (:func:`~naswot_lightning.logits.logits_of`).
    """
    logits = logits_of(run_with(network, state, images), len(images), num_classes)
    labels = labels.to(images.device).clone()  # the caller's may be an inference tensor
    return F.cross_entropy(logits, labels)


class _Channels(TorchFunctionMode):
    """While active, watches the outputs of convolutions and linear layers; a backward pass then fills ``sums``.

    Args:
        copies: of the outputs are kept, for networks that change them in place.

    Attributes:
        sums: (N, C) by the number of the call, the sum over the pixels of a * dL/da.
    """

    def __init__(self, copies: bool = False) -> None:
        super().__init__()
        self.sums: dict[int, Tensor] = {}
        self._copies = copies
        self._outputs: list[tuple[Tensor, int]] = []  # without graph; how often written to when they were returned

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if (func in LINEAR or func in CONVOLUTIONS) and output.requires_grad:
            # (N, ..., C) of a linear layer, (N, C, ...) of a convolution
            pixels = range(1, output.dim() - 1) if func in LINEAR else range(-len(kernel_of(args, kwargs)), 0)
            self._watch(output, tuple(pixels))
        return output

    def _watch(self, output: Tensor, pixels: tuple[int, ...]) -> None:
        values = output.detach().clone() if self._copies else output.detach()
        position = len(self._outputs)
        self._outputs.append((values, values._version))

        def keep(gradient: Tensor) -> None:
            # In place: whatever needed the values has had its turn. New memory would cost a tenth of the pass.
            products = values.mul_(gradient)
            self.sums[position] = products.sum(pixels) if pixels else products.clone()

        output.register_hook(keep)

    def are_changed(self) -> bool:
        """Return whether an output was written to since, so that its values are not those of the layer."""
        return any(values._version != version for values, version in self._outputs)
