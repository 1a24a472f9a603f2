"""Scores of the feature maps: which of a network's modules return them, and what the scores see in them."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

from naswot_lightning.naswot.isolation import isolated
from naswot_lightning.naswot.naswot import in_channels_last
from naswot_lightning.networks import moved_together, on_the_cpu
from naswot_lightning.scores.base import AZ_NAS, FORWARD, ONE_PASS, Measured, score
from naswot_lightning.scores.gradients import (
    correlations_of_rows,
    differentiable,
    one_thread,
    run_on,
    run_with,
    weights,
)

# Convolutions of a Sequential of layers that is one block; one of more is a chain of layers.
_MOST_IN_A_BLOCK = 3
# Of AZ-NAS: of its logarithm and its reciprocal as published, and of its signs, the same for every network.
_LOG_EPSILON, _EPSILON, _SIGNS_SEED = 1e-8, 1e-6, 20240615
# Of Zen-NAS: of weights and images, the same for every network; draws (published: 32; four cost what one pass of 128
# images costs), their images, and the length of the step.
_ZEN_SEED, _DRAWS, _ZEN_IMAGES, _STEP = 20210201, 4, 16, 0.01


def feature_modules(network: nn.Module) -> list[nn.Module]:
    """Return the modules whose outputs are the feature maps of a network: stem and every cell or block.

    A network says so itself by a method ``feature_modules()``. Of any other they are its children, less single layers
    that are no convolutions. A ModuleList, and a Sequential of blocks, stands for what it holds; a Sequential of single
    layers (convolution, BatchNorm, ReLU) is a block, unless it holds more than three convolutions, or is the network. A
    module around a single other, a wrapper, stands for that.
    """
    own = getattr(network, "feature_modules", None)
    if callable(own):
        return list(own())
    children = list(network.children())
    if len(children) == 1 and list(children[0].children()):
        return feature_modules(children[0])
    return _blocks(children) if children else [network]


def _blocks(modules: Sequence[nn.Module]) -> list[nn.Module]:
    found: list[nn.Module] = []
    for module in modules:
        inner = list(module.children())
        single_layers = not any(list(layer.children()) for layer in inner)
        is_block = single_layers and sum(isinstance(layer, _ConvNd) for layer in inner) <= _MOST_IN_A_BLOCK
        if isinstance(module, nn.ModuleList) or (isinstance(module, nn.Sequential) and not is_block):
            found += _blocks(inner)
        elif inner or isinstance(module, _ConvNd):
            found.append(module)
    return found


@contextmanager
def each_output(modules: Sequence[nn.Module], look: Callable[[Tensor], None]) -> Iterator[None]:
    """Within the block, call ``look`` with every output (N, C, H, W) of the modules; of a tuple, with the first."""

    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        while isinstance(output, list | tuple) and output:
            output = output[0]
        if isinstance(output, Tensor) and output.dim() == 4:
            # No mode that watches the network, for its ReLUs, say, sees what ``look`` does; nor is it in autocast.
            with torch._C.DisableTorchFunction(), torch.autocast(output.device.type, enabled=False):
                look(output)

    with ExitStack() as hooks:
        for module in dict.fromkeys(modules):
            hooks.enter_context(module.register_forward_hook(hook))
        yield


class OutputObserver(AbstractContextManager["OutputObserver"]):
    """While entered, keeps a matrix for each output (N, C, H, W) of some modules, in the order of the forward pass."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._seen: list[tuple[Tensor, torch.Size]] = []
        self._modules = modules
        self._stack = ExitStack()

    def __enter__(self) -> OutputObserver:
        self._seen = []
        self.__dict__.pop("values", None)

        def look(output: Tensor) -> None:
            self._seen.append((self.matrix_of(output), output.shape))

        self._stack.enter_context(each_output(self._modules, look))
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @cached_property
    def values(self) -> list[float]:
        """A number for each matrix."""
        with one_thread():
            matrices = on_the_cpu([matrix for matrix, _ in self._seen])
            return [self.value_of(each.double(), shape) for each, (_, shape) in zip(matrices, self._seen, strict=True)]

    @abstractmethod
    def matrix_of(self, output: Tensor) -> Tensor:
        """Return what is kept of an output, on its device."""

    @abstractmethod
    def value_of(self, matrix: Tensor, shape: torch.Size) -> float:
        """Return the number of that, float64 on the CPU, for an output of that shape."""


class SmallestEigenvalues(OutputObserver):
    """Keeps that of the channels' correlation for the first image's output of every module without submodules."""

    def __init__(self, network: nn.Module, images: int) -> None:
        super().__init__([m for m in network.modules() if not list(m.children()) and not isinstance(m, nn.Identity)])

    def matrix_of(self, output: Tensor) -> Tensor:
        """Return the correlations (C, C) of the first image's channels, or one number where they are dependent."""
        # (C, H * W); MPS has no float64.
        channels = output[0].flatten(1)
        channels = (channels.cpu() if output.device.type == "mps" else channels).double()
        with one_thread():
            return (
                correlations_of_rows(channels) if channels.shape[0] < channels.shape[1] else channels.sum()[None, None]
            )

    def value_of(self, matrix: Tensor, shape: torch.Size) -> float:
        """Return the smallest eigenvalue, 0 where the matrix is singular; nan where the output is not finite."""
        if not bool(matrix.isfinite().all()):
            return math.nan
        count = shape[1]
        if count >= shape[2:].numel() or not bool(matrix.diagonal().all()):
            return 0.0
        smallest = float(torch.linalg.eigvalsh(matrix)[0])
        return smallest if smallest > count * torch.finfo(torch.float64).eps * count else 0.0


@score("meco", source="Jiang et al. 2023", cost=FORWARD, exact_sums=False, observers=(SmallestEigenvalues,))
def meco(measured: Measured) -> float:
    """Return the sum over the layers of the smallest eigenvalue of their channels' correlation matrix.

    A layer is a module without submodules, each call of one counts; its output for the first image of the probe is C
    channels of H * W pixels. With as many channels as pixels or more the eigenvalue is 0. The sum is -inf where the
    channels of every layer are linearly dependent, nan where an output is not finite.
    """
    # The authors' code counts modules that hold others, too, and runs one image of noise.
    total = sum(measured.observed(SmallestEigenvalues).values)
    return total if total > 0 or math.isnan(total) else -math.inf


class SpectralEntropies(OutputObserver):
    """Keeps -sum p log(p + 1e-8) of every feature map, p the normalised eigenvalues of its channels' covariance."""

    def __init__(self, network: nn.Module, images: int) -> None:
        super().__init__(feature_modules(network))

    def matrix_of(self, output: Tensor) -> Tensor:
        """Return the covariance (C, C) of the channels, times N * H * W."""
        with one_thread():
            # (N * H * W, C)
            rows = output.permute(0, 2, 3, 1).flatten(0, 2).float()
            centred = rows - rows.mean(dim=0)
            return centred.T @ centred

    def value_of(self, matrix: Tensor, shape: torch.Size) -> float:
        """Return the entropy in nats; -inf for a map that is constant, nan for one that is not finite."""
        if not bool(matrix.isfinite().all()):
            return math.nan
        values = torch.linalg.eigvalsh(matrix / (shape[0] * shape[2:].numel())).clamp(min=0)
        total = values.sum()
        if float(total) <= 0:
            return -math.inf
        shares = values / total
        return -float((shares * (shares + _LOG_EPSILON).log()).sum())


# Lee & Ham draw Kaiming-normal weights and N(0, 1) inputs for AZ-NAS; here both are those of the kernel's pass.


@score("az_expressivity", source=AZ_NAS, cost=FORWARD, exact_sums=False, observers=(SpectralEntropies,))
def az_expressivity(measured: Measured) -> float:
    """Return the sum over the feature maps of the entropy of their spectrum.

    A map of (N, C, H, W) is N * H * W rows of C channels; p are the eigenvalues of their covariance, divided by their
    sum, and the entropy is -sum p log(p + 1e-8). The maps are those of :func:`feature_modules`. The sum is -inf where a
    map is constant, or there is none; nan where one is not finite.
    """
    # nan comes before -inf in a sum.
    entropies = measured.observed(SpectralEntropies).values
    return sum(entropies) if entropies else -math.inf


@score("az_progressivity", source=AZ_NAS, cost=FORWARD, exact_sums=False, observers=(SpectralEntropies,))
def az_progressivity(measured: Measured) -> float:
    """Return the smallest increase of the spectrum's entropy from one feature map to the next, mostly negative.

    It is -inf where a map is constant or there are fewer than two, nan where one is not finite.
    """
    entropies = measured.observed(SpectralEntropies).values
    if any(math.isnan(entropy) for entropy in entropies):
        return math.nan
    if len(entropies) < 2 or -math.inf in entropies:
        return -math.inf
    return min(after - before for before, after in pairwise(entropies))


@score("az_trainability", source=AZ_NAS, cost=f"{ONE_PASS}, without gradients of weights")
def az_trainability(measured: Measured) -> float:
    """Return the mean over the cells of 2 - s - 1 / (s + 1e-6), at most 0 where s, of each, is 1.

    Random signs are propagated back from a cell's output to its input, each a feature map (N, C, H, W) of
    :func:`feature_modules`; s is the largest singular value of their mean product over images and pixels,
    (C_in, C_out). The input is the map before, or, where a cell of two inputs does not look at that, the last one that
    it looks at. The mean is -inf where a cell hands on no gradient, or the very same, or there are fewer than two maps;
    nan where a gradient is not finite.
    """
    network = measured.network

    def values_of_cells(images: Tensor) -> list[float]:
        maps: list[Tensor] = []
        with differentiable(network, images.device):
            with each_output(feature_modules(network), maps.append):
                run_on(network, images)
            bits = moved_together(_random_bits(maps[1:]), images.device)
            return _answered([_trainability(maps[: at + 1], maps[at + 1], each) for at, each in enumerate(bits)])

    values = in_channels_last(values_of_cells, network, measured.probe.images)
    # The first that is not finite decides.
    unusable = [value for value in values if not math.isfinite(value)] if values else [-math.inf]
    return unusable[0] if unusable else sum(values) / len(values)


def _random_bits(maps: Sequence[Tensor]) -> list[Tensor]:
    """Return 0 or 1 for each value of maps (N, C, H, W), uint8 on the CPU in channels_last memory."""
    generator, found = np.random.default_rng(_SIGNS_SEED), []
    for each in maps:
        # From bytes: a tenth of the time of floats.
        (n, channels, height, width), count = each.shape, each.numel()
        bits = np.unpackbits(np.frombuffer(generator.bytes(count // 8 + 1), np.uint8), count=count)
        found.append(torch.from_numpy(bits).reshape(n, height, width, channels).permute(0, 3, 1, 2))
    return found


# Gives a tensor of any device, and gets it back on the CPU.
_Asking = Generator[Tensor, Tensor, float]


def _answered(cells: Sequence[_Asking]) -> list[float]:
    """Return what each of them returns in the end; their tensors come together, so that the host waits once."""
    values = [0.0] * len(cells)
    answers: dict[int, Any] = dict.fromkeys(range(len(cells)))
    while answers:
        asked: dict[int, Tensor] = {}
        for number, answer in answers.items():
            try:
                asked[number] = cells[number].send(answer)
            except StopIteration as end:
                values[number] = end.value
        answers = dict(zip(asked, on_the_cpu(list(asked.values())), strict=True))
    return values


def _trainability(earlier: Sequence[Tensor], after: Tensor, bits: Tensor) -> _Asking:
    """Return 2 - s - 1 / (s + 1e-6) of the cell that made a map; -inf where it hands on nothing or the very same."""
    for before in reversed(earlier):
        handed_on = _handed_on(before, after, bits)
        if handed_on is None:
            continue
        kept = (yield handed_on).double()
        is_nonzero, is_same = kept[-2:].bool().tolist()
        if not is_nonzero:
            continue
        if is_same:
            break
        rows = len(after) * math.prod(map(min, before.shape[2:], after.shape[2:]))
        product = kept[:-2].view(-1, after.shape[1]) / rows
        if not bool(product.isfinite().all()):
            return math.nan
        s = float(torch.linalg.matrix_norm(product, ord=2))
        return 2 - s - 1 / (s + _EPSILON) if s > 0 or math.isnan(s) else -math.inf
    return -math.inf


def _handed_on(before: Tensor, after: Tensor, bits: Tensor) -> Tensor | None:
    """Return what a map hands on of random signs to one before it; None where they are not connected.

    It is the product (C_in, C_out) of gradient and signs, summed over images and pixels, in one row, and then 1 where
    the gradient is not zero, and 1 where it is the signs.
    """
    if not (before.requires_grad and after.requires_grad):
        return None
    signs = bits.to(after.dtype).mul_(2).sub_(1)
    # A node of one cell may serve the next, too, so that the graph is kept.
    (found,) = torch.autograd.grad(after, before, signs, retain_graph=True, allow_unused=True)
    if found is None:
        return None
    is_same = found.eq(signs).all() if found.shape == signs.shape else found.new_zeros((), dtype=torch.bool)
    # (N * H * W, C_in) and (N * H * W, C_out), at the smaller of both resolutions.
    height, width = map(min, found.shape[2:], signs.shape[2:])
    rows = [_folded(gradient, height, width).permute(0, 2, 3, 1).flatten(0, 2) for gradient in (found, signs)]
    product = rows[0].T @ rows[1]
    return torch.cat([product.flatten(), torch.stack([found.ne(0).any(), is_same]).to(product.dtype)])


def _folded(gradient: Tensor, height: int, width: int) -> Tensor:
    """Return (N, C, H, W) as (N, C * a * b, height, width), a block of a x b pixels as channels; zeros fill it up."""
    a, b = (-(-side // wanted) for side, wanted in zip(gradient.shape[2:], (height, width), strict=True))
    if a == b == 1:
        return gradient
    filled = F.pad(gradient, (0, b * width - gradient.shape[3], 0, a * height - gradient.shape[2]))
    images, channels = gradient.shape[:2]
    blocks = filled.reshape(images, channels, height, a, width, b)
    return blocks.permute(0, 1, 3, 5, 2, 4).reshape(images, channels * a * b, height, width)


@score("zen", source="Lin et al. 2021", cost=f"{2 * _DRAWS} forward passes of {_ZEN_IMAGES} images")
def zen(measured: Measured) -> float:
    """Return the mean over 4 draws of log E||f(x) - f(x + 0.01 e)|| + sum of log sqrt(mean variance).

    f(x) is the last feature map (:func:`feature_modules`), E the mean over 16 images. The sum is over the BatchNorm
    layers up to that map, whose division by the deviation it undoes: the variance is that of their input over the
    mini-batch, one per channel. The probe gives the images' shape and nothing else. The mean is -inf where nothing
    changes or there is no feature map, nan where a value is not finite, as in a deep network without BatchNorm.
    """
    network, like = measured.network, measured.probe.images
    generator, layers, values = torch.Generator().manual_seed(_ZEN_SEED), weights(network), []
    for _ in range(_DRAWS):
        # Weights of convolutions and linear layers, images x and e from N(0, 1); biases 0, and other parameters 1.
        state = {}
        for name, parameter in network.named_parameters():
            state[name] = torch.full_like(parameter.detach(), float(not name.endswith("bias")), device="cpu")
            if name in layers:
                state[name].copy_(torch.randn(parameter.shape, generator=generator))
        drawn = torch.randn(2, _ZEN_IMAGES, *like.shape[1:], generator=generator)
        images, noise, *moved = moved_together([*drawn, *state.values()], like.device)
        last_map = partial(_last_map, network, dict(zip(state, moved, strict=True)))
        first, variances = in_channels_last(last_map, network, images)
        second, _ = in_channels_last(last_map, network, images + _STEP * noise)
        if first is None or second is None:
            return -math.inf
        log_spread = _log_spread(variances)
        distance = float(torch.linalg.vector_norm((first - second).flatten(1).cpu().double(), dim=1).mean())
        if not math.isfinite(distance) or math.isnan(log_spread):
            return math.nan
        values.append(math.log(distance) + log_spread if distance > 0 else -math.inf)
    total = sum(values) / _DRAWS
    return total if total < math.inf else math.nan


def _last_map(network: nn.Module, state: dict[str, Tensor], images: Tensor) -> tuple[Tensor | None, list[Tensor]]:
    """Return the last feature map (N, C, H, W), and the variances (C,) of the input of every BatchNorm before it."""
    spread = _BatchSpread()
    last: tuple[Tensor | None, int] = None, 0

    def look(feature_map: Tensor) -> None:
        nonlocal last
        last = feature_map.clone(), len(spread.variances)

    with (
        isolated(network, images.device),
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast(images.device.type, enabled=False),
        each_output(feature_modules(network), look),
        spread,
    ):
        run_with(network, state, images)
    return last[0], spread.variances[: last[1]]


def _log_spread(variances: Sequence[Tensor]) -> float:
    """Return the sum of log sqrt(mean variance)."""
    log_sum = 0.0
    for each in on_the_cpu(variances):
        variance = float(each.double().mean())
        # Nothing varies in a dead branch, whose scale does not matter.
        if variance != 0:
            log_sum += 0.5 * math.log(variance)
    return log_sum


class _BatchSpread(TorchFunctionMode):
    """While active, keeps the variances (C,) of the input of every BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.variances: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.batch_norm:
            inputs: Tensor = args[0] if args else (kwargs or {})["input"]
            # Over all but the channels; the published code has the running average.
            over = [dimension for dimension in range(inputs.dim()) if dimension != 1]
            self.variances.append(inputs.var(dim=over, correction=0))
        return func(*args, **(kwargs or {}))
