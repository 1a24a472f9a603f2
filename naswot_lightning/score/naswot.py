"""The score of an untrained network: Eq. 1 and Eq. 2 of Mellor et al., 2021, in one forward pass."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from naswot_lightning.score.image_dimension import (
    Dimensions,
    FoundDimensions,
    ImagesOutermost,
    RectifierInputs,
    UnknownDimensionError,
)
from naswot_lightning.score.isolation import in_channels_last, isolated, unwrapped
from naswot_lightning.score.kernel import ActivationKernel
from naswot_lightning.score.recorder import RectifierRecorder
from naswot_lightning.score.reference import reference_kernel

Variant = Literal["paper", "reference"]
Precision = Literal["32", "bf16"]
BatchNorm = Literal["batch", "running"]
Observers = Sequence[AbstractContextManager[object]]


def naswot_score(
    network: nn.Module, images: Tensor, variant: Variant = "paper", batch_norm: BatchNorm = "batch"
) -> float:
    """Return the score s = log|K_H| of a network on one mini-batch (Eq. 2): higher is better.

    Args:
        network: any module; it is left exactly as it was found.
        images: (N, C, H, W) on the device of the network, N >= 2, in any memory format.
        variant: see :func:`activation_kernel`.
        batch_norm: see there, too.

    Returns:
        The score; -inf where two images have the same code or K_H is singular otherwise, nan where the
        network's activations are NaN.

    Raises:
        NoRectifierError: the network has no rectified linear unit.

    >>> images = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    >>> round(naswot_score(nn.ReLU(), images), 4)  # log of det [[2, 0, 1], [0, 2, 1], [1, 1, 2]] = log 4
    1.3863
    """
    kernel = activation_kernel(network, images, variant, batch_norm=batch_norm)
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
) -> ActivationKernel:
    """Return K_H of a network on one mini-batch (Eq. 1), from one forward pass without gradients.

    Rectifiers are seen at the call, whether modules or functions, in place or not, each exactly once. While
    they are recorded, BatchNorm normalises as ``batch_norm`` says and everything else is in eval mode.

    Args:
        network: any module; it is left exactly as it was found.
        images: (N, C, H, W) on the device of the network, N >= 2.
        variant: "paper", or "reference" to count as the published code does: every module whose class name
            holds "ReLU", wrappers too, and nothing else, where its output is connected to the network's.
        precision: "32" as the network's own, or "bf16" to run it in bfloat16 autocast; codes, kernel and
            determinant are exact either way.
        observers: of the same forward pass, each entered right before it and left right after, so that a mode among
            them sees every call first; twice where the images' memory format had to be changed.
        batch_norm: "batch" to normalise by the mini-batch, as the paper does, or "running" by the statistics gathered
            in training: those of a new network, mean 0 and variance 1, leave its feature maps as they are.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
        TypeError: the images are no tensor, but a list or an array, say.
        ValueError: fewer than two images, or a variant, precision or mode of BatchNorm that does not exist.

    >>> images = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    >>> kernel = activation_kernel(torch.nn.ReLU(), images)
    >>> kernel.n_units, kernel.matrix.tolist()
    (2, [[2, 0, 1], [0, 2, 1], [1, 1, 2]])
    """
    for name, value, known in (
        ("variant", variant, Variant),
        ("precision", precision, Precision),
        ("batch_norm", batch_norm, BatchNorm),
    ):
        if value not in get_args(known):
            raise ValueError(f"{name} {value!r}: expected one of {', '.join(get_args(known))}")
    expect_tensor(images)
    if images.dim() == 0 or images.shape[0] < 2:
        raise ValueError(f"images of shape {tuple(images.shape)}: a score compares at least 2 images")
    network = unwrapped(network)
    by_batch = batch_norm == "batch"
    autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16")

    def reference(batch: Tensor) -> ActivationKernel:
        with isolated(network, batch.device), autocast:
            return reference_kernel(network, batch, by_batch)

    def record(batch: Tensor, dimensions: Dimensions, observers: Observers = ()) -> RectifierRecorder:
        recorder = RectifierRecorder(len(batch), dimensions, by_batch, observers)
        with isolated(network, batch.device), autocast, recorder, ExitStack() as stack:
            for observer in observers:
                stack.enter_context(observer)
            network(batch)
        return recorder

    def inputs_of_rectifiers(batch: Tensor) -> list[Tensor]:
        seen = RectifierInputs()
        record(batch, seen)
        return seen.inputs

    # Not inference_mode: what a network keeps of its first forward pass (a mask, a table) must serve its training.
    with torch.inference_mode(False), torch.no_grad():
        if variant == "reference":
            return in_channels_last(reference, network, images)
        try:
            return in_channels_last(
                lambda batch: record(batch, ImagesOutermost(batch), observers).kernel(), network, images
            )
        except UnknownDimensionError:
            # One image, and another twice or, so that the number differs from N, three times.
            other = images[[0, 1, 1] if len(images) != 3 else [0, 1, 1, 1]]
            inputs = in_channels_last(inputs_of_rectifiers, network, other)
            return in_channels_last(
                lambda batch: record(batch, FoundDimensions(len(batch), len(other), inputs), observers).kernel(),
                network,
                images,
            )


def expect_tensor(images: object) -> None:
    """Raise :class:`TypeError` unless the images are one tensor."""
    if not isinstance(images, Tensor):
        raise TypeError(
            f"images of type {type(images).__name__}: expected one tensor (N, C, H, W), as torch.stack or "
            "torch.as_tensor makes it"
        )
