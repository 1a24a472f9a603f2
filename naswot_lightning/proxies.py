"""Training-free scores of a network, one signature: (network, probe) to a number.

Every score leaves the network, the probe and the random generators as it found them, and gives the same number
each time: bit for bit on the CPU; on CUDA the gradients are subject to the rounding of backward convolutions,
whose sums have no fixed order. While a score runs, BatchNorm normalises by the mini-batch and everything else
is in eval mode (:func:`naswot_lightning.score.isolation.isolated`).
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

from naswot_lightning.data.probe import Probe
from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.score import activation_kernel
from naswot_lightning.score.isolation import isolated
from naswot_lightning.seeds import derived_seed
from spaces.complexity import count_macs, count_params

# k of the score of the Jacobian: keeps log and reciprocal finite for eigenvalue 0.
_JACOBIAN_K = 1e-5
# Powers of two for SynFlow's image and output, tried in turn: doubles end at 2^1023 = 1e308, an image of 2^-960
# = 1e-289 lets the flow reach 1e597, and is itself 19 decades above the smallest normal double.
_FLOW_EXPONENTS = (0, -960, 960)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute by one thread: sums depend on how many threads share them, and BatchNorm carries their rounding far.

    With one and with two threads ``grad_norm`` differed by up to 3 % for a plain network of NDS.
    """
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(count)


@dataclass(frozen=True)
class Proxy:
    """A score and what is known of it.

    Attributes:
        function: network and probe to the value; -inf where the network is degenerate, nan where it failed.
        source: where it is defined.
        cost: what it runs the network for.
        higher_is_better: its direction.
    """

    function: Callable[[nn.Module, Probe], float]
    source: str
    cost: str
    higher_is_better: bool = True


def naswot(network: nn.Module, probe: Probe) -> float:
    """Return log|K_H| (Eq. 2)."""
    return activation_kernel(network, probe.images).logdet()


@_one_thread()
def jacob_cov(network: nn.Module, probe: Probe) -> float:
    """Return the score of the paper's first version: how little the images' Jacobians are correlated.

    J = d(sum of all outputs) / d(images), (N, C * H * W); v are the eigenvalues of the (N, N) correlation matrix
    of its rows; the score is -sum(log(v + k) + 1 / (v + k)) with k = 1e-5. Correlation and eigenvalues are in
    float64. It is at most -N (1 + k), approached where all correlations vanish. The images are the probe's augmented
    ones, as in that version: on plain CIFAR-10 images it ranks NAS-Bench-201 worse (Kendall's tau on 300 architectures
    .571 / .589 / .574 instead of .596 / .610 / .599).

    Returns:
        The score; -inf where an image's Jacobian is constant, as in a disconnected network, so that it has no
        correlation; nan where a gradient is not finite.
    """
    images = probe.images if probe.augmented is None else probe.augmented
    jacobian = _jacobian(network, images).cpu().double()
    if not bool(jacobian.isfinite().all()):
        return math.nan
    centred = jacobian - jacobian.mean(dim=1, keepdim=True)
    lengths = torch.linalg.vector_norm(centred, dim=1, keepdim=True)  # (N, 1)
    if bool((lengths == 0).any()):
        return -math.inf
    rows = centred / lengths
    shifted = torch.linalg.eigvalsh(rows @ rows.T) + _JACOBIAN_K
    return -float((shifted.log() + shifted.reciprocal()).sum())


@_one_thread()
def grad_norm(network: nn.Module, probe: Probe) -> float:
    """Return the sum of the Euclidean norms of the loss's gradients, one norm a convolution or linear weight.

    The loss is the cross-entropy of the probe's labels. Mellor et al. (Figure 4) take it from Abdelfattah et
    al., whose definition this is: a sum of norms, not the norm of the whole, and neither biases nor BatchNorm.

    Returns:
        The sum; -inf where no gradient reaches any weight, nan where it is not finite.

    Raises:
        ValueError: the network has fewer outputs than there are classes among the labels.
    """
    return _norm(_loss_gradients(network, probe))


@_one_thread()
def snip(network: nn.Module, probe: Probe) -> float:
    """Return the connection sensitivity sum |w * dL/dw| over the weights of convolutions and linear layers.

    The loss is the cross-entropy of the probe's labels. Lee et al. divide by this sum; Abdelfattah et al. sum it.

    Returns:
        The sum; -inf where no gradient reaches any weight, nan where it is not finite.

    Raises:
        ValueError: the network has fewer outputs than there are classes among the labels.
    """
    return _sensitivity(_loss_gradients(network, probe))


@_one_thread()
def synflow(network: nn.Module, probe: Probe) -> float:
    """Return the logarithm of the synaptic flow sum |w * dR/dw| over convolution and linear weights.

    R is the sum of the outputs for one image of ones, all parameters and buffers replaced by their absolute
    values and BatchNorm by the identity; labels and images are not used, only the images' shape. The flow grows
    with depth to 1e43 in NAS-Bench-201, so it is computed in float64 and its logarithm returned, which ranks
    the same. Beyond float64 the image, the biases and R are scaled by powers of two, to which a network of
    convolutions, linear layers, rectifiers, pooling and sums is indifferent: exact up to flows of 1e590.

    Returns:
        log of the flow; -inf where no flow reaches the output, nan where it is beyond 1e590 or a parameter NaN.
    """
    flows = []
    for exponent in _FLOW_EXPONENTS:
        flow = _log_flow(network, probe.images, exponent)
        if math.isfinite(flow):
            return flow
        flows.append(flow)
    return flows[0]


def params(network: nn.Module, probe: Probe) -> float:
    """Return the number of trainable parameters, the baseline that no score should fall below."""
    return float(count_params(network))


def macs(network: nn.Module, probe: Probe) -> float:
    """Return the multiply-accumulates of convolutions and linear layers for one image of the data set's size."""
    channels, size = probe.images.shape[1], probe.image_size
    # Two images: of one, BatchNorm refuses to take the statistics where feature maps are 1 x 1. Real ones: on the
    # meta device the count takes ten times as long (137 ms instead of 15 for NAS-Bench-201 on one core).
    images = probe.images.new_zeros(2, channels, size, size)
    with isolated(network, images.device):
        return float(count_macs(network, images))


def rectified_units(network: nn.Module, probe: Probe) -> float:
    """Return N_A, the rectified units per image at the probe's size: the scale of K_H without its codes.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    return float(activation_kernel(network, probe.images[:2]).n_units)


def random_number(network: nn.Module, probe: Probe) -> float:
    """Return a number in [0, 1) drawn with a seed made of all parameters: the baseline that knows nothing."""
    digest = hashlib.sha256()
    for name, parameter in network.named_parameters():
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        # reshape puts the elements in logical order, so that the memory format does not matter.
        digest.update(parameter.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return random.Random(derived_seed("random", digest.hexdigest())).random()


_PAPER = "Mellor et al. 2021"
_ABDELFATTAH = "Abdelfattah et al. 2021"
_ONE_PASS = "one forward and backward pass"
PROXIES = {
    "naswot": Proxy(naswot, f"{_PAPER}, Eq. 2", "one forward pass"),
    "jacob_cov": Proxy(jacob_cov, "Mellor et al. 2020, arXiv:2006.04647v1", _ONE_PASS),
    "grad_norm": Proxy(grad_norm, f"{_ABDELFATTAH}; {_PAPER}, Figure 4", _ONE_PASS),
    "snip": Proxy(snip, f"Lee et al. 2019; {_ABDELFATTAH}", _ONE_PASS),
    "synflow": Proxy(synflow, f"Tanaka et al. 2020; {_ABDELFATTAH}", f"{_ONE_PASS} of one image in float64"),
    "params": Proxy(params, "count of trainable parameters", "no pass"),
    "macs": Proxy(macs, "count of multiply-accumulates", "one forward pass of two images"),
    "rectified_units": Proxy(rectified_units, f"{_PAPER}, N_A of Eq. 1", "one forward pass of two images"),
    "random": Proxy(random_number, "uniform random number", "no pass"),
}


def get_proxy(name: str) -> Proxy:
    """Return the proxy of that name.

    Raises:
        UserError: no such score; the message lists the names and the nearest one.
    """
    return PROXIES[expect_name("score", name, PROXIES)]


@_one_thread()
def compute_scores(network: nn.Module, probe: Probe, names: Sequence[str]) -> dict[str, float]:
    """Return several scores of one network, those of the loss's gradients from one backward pass.

    Raises:
        UserError: no such score.
    """
    values: dict[str, float] = {}
    gradients: list[tuple[Tensor, Tensor]] | None = None
    for name in names:
        if name in _OF_GRADIENTS:
            gradients = _loss_gradients(network, probe) if gradients is None else gradients
            values[name] = _OF_GRADIENTS[name](gradients)
        else:
            values[name] = get_proxy(name).function(network, probe)
    return values


def parse_scores(text: str) -> list[list[str]]:
    """Read "naswot,jacob_cov+params": columns separated by ",", each one proxy or several joined by "+".

    Returns:
        The names of each column: [["naswot"], ["jacob_cov", "params"]].

    Raises:
        UserError: a name is unknown, missing, or twice in a column; or two columns hold the same names.
    """
    columns = [[name.strip() for name in column.split("+")] for column in text.split(",")]
    for name in (name for column in columns for name in column):
        if not name:
            raise UserError(f"score {text!r}: a name is missing; write e.g. naswot or naswot,jacob_cov+params")
        expect_name("score", name, PROXIES)
    seen: set[frozenset[str]] = set()
    for column in columns:
        names = frozenset(column)
        if len(names) < len(column) or names in seen:
            raise UserError(f"score {text!r}: {'+'.join(column)} repeats a name or a column; write each once")
        seen.add(names)
    return columns


@contextmanager
def _differentiable(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Within the block gradients are recorded, at full precision, whatever the caller has switched."""
    with (
        isolated(network, device),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
    ):
        yield


def _jacobian(network: nn.Module, images: Tensor) -> Tensor:
    """Return d(sum of all outputs) / d(images), (N, C * H * W)."""
    network = _original(network)
    with _differentiable(network, images.device):
        inputs = images.clone().detach().requires_grad_()
        fixed = {name: parameter.detach() for name, parameter in network.named_parameters()}
        total = _run(network, fixed, inputs).sum()
        return _gradients(total, [inputs])[0].flatten(1)


def _loss_gradients(network: nn.Module, probe: Probe) -> list[tuple[Tensor, Tensor]]:
    """Return (weight, dL/dweight) of every convolution and linear layer; L is the probe's cross-entropy."""
    network = _original(network)
    with _differentiable(network, probe.images.device):
        labels = probe.labels.to(probe.images.device).clone()  # the caller's may be an inference tensor
        # Views of the same memory: gradients reach them whatever the parameters' own flags, and leave .grad alone.
        weights = {name: weight.detach().requires_grad_() for name, weight in _weights(network).items()}
        logits = _run(network, weights, probe.images)
        if logits.shape[-1] <= int(labels.max()):
            raise ValueError(f"the network has {logits.shape[-1]} outputs, the labels go to {int(labels.max())}")
        gradients = _gradients(F.cross_entropy(logits, labels), list(weights.values()))
    return [(weight.detach(), gradient) for weight, gradient in zip(weights.values(), gradients, strict=True)]


def _norm(pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
    return _positive([torch.linalg.vector_norm(gradient) for _, gradient in pairs])


def _sensitivity(pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
    return _positive([(weight * gradient).abs().sum() for weight, gradient in pairs])


_OF_GRADIENTS = {"grad_norm": _norm, "snip": _sensitivity}


def _log_flow(network: nn.Module, images: Tensor, exponent: int) -> float:
    """Return log of SynFlow's sum, computed with image, biases and R scaled by 2^exponent."""
    network = _original(network)
    device = images.device if images.device.type != "mps" else torch.device("cpu")  # MPS has no float64
    ones = torch.ones(1, *images.shape[1:], dtype=torch.float64, device=device)
    with _differentiable(network, images.device), _WithoutBatchNorm():
        state = _absolute_state(network, device, exponent)
        weights = [state[name].requires_grad_() for name in _weights(network)]
        total = _run(network, state, ones * 2.0**exponent).sum() * 2.0**exponent
        gradients = _gradients(total, weights)
    flow = _positive([(w.detach() * g).abs().sum() for w, g in zip(weights, gradients, strict=True)])
    return math.log(flow) - 2 * exponent * math.log(2) if flow > 0 else flow


def _absolute_state(network: nn.Module, device: torch.device, exponent: int) -> dict[str, Tensor]:
    """Return |parameters and buffers| in float64, biases scaled by 2^exponent."""
    state = {}
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        value = tensor.detach().to(device)
        if value.is_floating_point():
            value = value.double().abs() * 2.0 ** (exponent if name.endswith("bias") else 0)
        state[name] = value
    return state


class _WithoutBatchNorm(TorchFunctionMode):
    """While active, BatchNorm returns its input."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (F.batch_norm, torch.batch_norm):
            return args[0] if args else kwargs["input"]
        return func(*args, **kwargs)


def _original(network: nn.Module) -> nn.Module:
    """Return the module that torch.compile wrapped: the wrapper keeps its own reference to the parameters."""
    return getattr(network, "_orig_mod", network)


def _run(network: nn.Module, state: dict[str, Tensor], images: Tensor) -> Tensor:
    """Return the logits, with tensors of ``state`` in place of the network's own.

    Images and buffers are copies, since a network may change both in place.
    """
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    output = functional_call(network, {**buffers, **state}, (images.clone(),))
    while isinstance(output, list | tuple) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise TypeError(f"the network returned {type(output).__name__}: expected a tensor, or a tuple that begins so")
    return output


def _weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights of convolutions and linear layers by parameter name; a shared one once."""
    layers = (_ConvNd, nn.Linear)
    wanted = {id(module._parameters.get("weight")) for module in network.modules() if isinstance(module, layers)}
    return {name: parameter for name, parameter in network.named_parameters() if id(parameter) in wanted}


def _gradients(output: Tensor, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return d(output) / d(input) for every input, zeros where the output does not depend on it."""
    if not inputs or not output.requires_grad:
        return [torch.zeros_like(tensor) for tensor in inputs]
    return torch.autograd.grad(output, inputs, allow_unused=True, materialize_grads=True)


def _positive(parts: Sequence[Tensor]) -> float:
    """Return the sum of non-negative scalars in float64; -inf where it is 0, nan where it is not finite."""
    total = float(torch.stack(list(parts)).cpu().double().sum()) if parts else 0.0
    if not math.isfinite(total):
        return math.nan
    return total if total > 0 else -math.inf
