"""Draw the picture of codes and kernel: ``python docs/scripts/draw_codes.py docs/images/codes-and-kernel.png``.

Real numbers, on the CPU: eight digits in a small untrained network, and three networks of NAS-Bench-201 on 64 digits.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from naswot_lightning import ActivationKernel, activation_kernel
from naswot_lightning.data.dataset import Dataset
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.networks import build_network
from naswot_lightning.spaces import get_space

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEED = 0
SHOWN_DIGITS = (0, 1, 4, 7)
CANDIDATES = 30


@dataclass(frozen=True)
class Example:
    """One network on one mini-batch.

    Attributes:
        pixels: (N, H, W) uint8, the images as they look.
        codes: (N, N_A) bool, a bit a rectifier: is it on for the image?
        kernel: K_H of the library.
        widths: rectifiers of each layer.
    """

    pixels: Tensor
    codes: Tensor
    kernel: ActivationKernel
    widths: tuple[int, ...]


class SmallNetwork(nn.Module):
    """Two rectified layers: 4 filters at 3 x 3 places, then 12 units."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv2d(3, 4, 5, stride=5)
        self.units = nn.Linear(36, 12)

    def pre_activations(self, images: Tensor) -> list[Tensor]:
        """Return what the rectifiers are given: (N, 36) and (N, 12)."""
        first = self.filters(images).flatten(1)
        return [first, self.units(torch.relu(first))]

    def forward(self, images: Tensor) -> Tensor:
        """Return the rectified units, (N, 12)."""
        return torch.relu(self.pre_activations(images)[-1])


def images_of(dataset: Dataset, chosen: Sequence[int]) -> Tensor:
    """Return normalised training images, (N, 3, H, W) float32."""
    mean, std = torch.tensor(dataset.mean), torch.tensor(dataset.std)
    return ((dataset.train.images[list(chosen)] - mean) / std).permute(0, 3, 1, 2).contiguous()


def first_of_each(dataset: Dataset, labels: Sequence[int], each: int) -> list[int]:
    """Return the indices of the first training images of some classes, class by class."""
    return [i for label in labels for i in (dataset.train.labels == label).nonzero()[:each, 0].tolist()]


def small_example(dataset: Dataset) -> Example:
    """Return the small network on two images of each of four digits."""
    chosen = first_of_each(dataset, SHOWN_DIGITS, 2)
    images = images_of(dataset, chosen)
    torch.manual_seed(SEED)
    network = SmallNetwork()
    with torch.no_grad():
        layers = network.pre_activations(images)
    codes = torch.cat(layers, 1) > 0
    widths = tuple(layer.shape[1] for layer in layers)
    return Example(dataset.train.images[chosen][..., 0], codes, activation_kernel(network, images), widths)


def kernels_of_candidates(dataset: Dataset) -> list[ActivationKernel]:
    """Return the kernels of random networks of NAS-Bench-201 on 64 digits, worst score first."""
    images = images_of(dataset, first_of_each(dataset, range(8), 8))
    space, rng = get_space("nasbench201"), random.Random(SEED)
    networks = (build_network(space, space.canonical(space.sample(rng)), SEED, 10) for _ in range(CANDIDATES))
    kernels = [kernel for network in networks if (kernel := _kernel_of(network, images)) is not None]
    return sorted(kernels, key=ActivationKernel.logdet)


def _kernel_of(network: nn.Module, images: Tensor) -> ActivationKernel | None:
    if not any(isinstance(module, nn.ReLU) for module in network.modules()):
        return None
    kernel = activation_kernel(network, images)
    return kernel if kernel.logdet() > 0 else None


def draw(example: Example, kernels: Sequence[ActivationKernel]) -> Figure:
    """Draw codes and kernel of the example, and below them three of the kernels: worst, middle, best."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.8), layout="constrained", dpi=100)
    grid = figure.add_gridspec(2, 1, height_ratios=(1.25, 1))
    above = grid[0].subgridspec(1, 3, width_ratios=(0.6, 5.6, 4.2))
    _draw_images(figure.add_subplot(above[0]), example)
    _draw_codes(figure.add_subplot(above[1]), example)
    _draw_kernel(figure.add_subplot(above[2]), example)
    below = grid[1].subgridspec(1, 3)
    middle = len(kernels) // 2
    for place, (name, kernel) in enumerate(
        {"lowest": kernels[0], "middle": kernels[middle], "highest": kernels[-1]}.items()
    ):
        _draw_normalised(figure.add_subplot(below[place]), name, kernel, len(kernels))
    return figure


def _draw_images(axes: Axes, example: Example) -> None:
    count, side = example.pixels.shape[:2]
    framed = torch.nn.functional.pad(example.pixels, (0, 0, 2, 2))  # a gap between images that follow each other
    axes.imshow(
        framed.reshape(-1, side).numpy(), cmap="gray_r", extent=(0, 1, count, 0), aspect="auto", interpolation="nearest"
    )
    axes.set_title("images", fontsize=9)
    axes.set_axis_off()


def _draw_codes(axes: Axes, example: Example) -> None:
    axes.imshow(example.codes.numpy(), cmap="gray_r", aspect="auto", interpolation="nearest")
    axes.axvline(example.widths[0] - 0.5, color="tab:red", linewidth=1.5)
    count, units = example.codes.shape
    for line in range(1, count):
        axes.axhline(line - 0.5, color="0.6", linewidth=0.8)
    axes.set_title(f"codes: black where a rectifier is on, $N_A$ = {units}", fontsize=9)
    first, second = example.widths
    axes.set_xlabel(f"{first} rectifiers of the first layer | {second} of the second", fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_kernel(axes: Axes, example: Example) -> None:
    matrix = example.kernel.matrix
    axes.imshow(matrix.numpy(), cmap="Blues", vmin=0, vmax=1.6 * example.kernel.n_units)
    for row, values in enumerate(matrix.tolist()):
        for column, value in enumerate(values):
            axes.text(column, row, str(value), ha="center", va="center", fontsize=8)
    axes.set_title(f"$K_H$ = $N_A$ - Hamming distance, log|$K_H$| = {example.kernel.logdet():.2f}", fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_normalised(axes: Axes, name: str, kernel: ActivationKernel, of: int) -> None:
    axes.imshow(kernel.matrix.numpy() / kernel.n_units, cmap="gray_r", vmin=0.3, vmax=1, interpolation="nearest")
    axes.set_title(f"{name} score of {of}: {kernel.logdet():.1f}", fontsize=9)
    axes.set_xlabel(f"$K_H$ / $N_A$, $N_A$ = {kernel.n_units:,}", fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])


def main(target: Path) -> None:
    """Draw the picture."""
    digits = load_dataset("digits")
    picture = draw(small_example(digits), kernels_of_candidates(digits))
    picture.savefig(target, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
