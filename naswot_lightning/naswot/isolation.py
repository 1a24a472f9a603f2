"""Run a network for its score and leave no trace of it."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.nn.parallel import DataParallel, DistributedDataParallel

from naswot_lightning.seeds import generators_restored


def _matmul_precision() -> str | None:
    # Where torch's newer flags of TF32 are in use, this older one cannot be read.
    with suppress(RuntimeError):
        return torch.get_float32_matmul_precision()
    return None


def _restore_matmul_precision(precision: str | None) -> None:
    if precision is not None:
        torch.set_float32_matmul_precision(precision)


# Settings of the whole process that a network may change.
_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, torch.set_default_device),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    (torch.get_num_threads, torch.set_num_threads),
    (_matmul_precision, _restore_matmul_precision),
)
_cudnn, _cublas = torch.backends.cudnn, torch.backends.cuda.matmul
_EXACT_ON_CUDA: list[tuple[Any, str, Any]] = [
    (_cudnn, "deterministic", True), (_cudnn, "benchmark", False),
    (_cudnn, "allow_tf32", False), (_cublas, "allow_tf32", False),
]  # fmt: skip
# Of torch 2.9.
if hasattr(_cudnn, "conv"):
    _EXACT_ON_CUDA += [(each, "fp32_precision", "ieee") for each in (_cudnn.conv, _cudnn.rnn, _cublas)]
# What it may replace functions of, and where hooks of all modules are kept.
_NAMESPACES = (torch, torch.nn.functional, nn, nn.init, torch.Tensor, nn.Module)
_GLOBAL_HOOKS = [value for name, value in vars(nn.modules.module).items() if name.startswith("_global_")]
# Classes of torch's own modules, and what every class defines.
_OWN = {each for each in vars(nn).values() if isinstance(each, type) and issubclass(each, nn.Module)} - {nn.Module}
_OF_EVERY_CLASS = {"__init__", *vars(type("_", (), {"__annotations__": {}})), "__annotations__"}


@contextmanager
def isolated(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Within the block, run the network for its score; afterwards, it and every generator are as before.

    All modules are in eval mode (no dropout, no drop path, no auxiliary head), and compiled ones run as written, so
    that their calls can be seen. A lazy module that has no weights yet draws them and keeps them. On CUDA float32 is
    float32, and cuDNN's algorithms give the same bits each time.
    """
    modules = all_modules(network)
    kinds = set(map(type, modules))
    # Nothing is compiled where Dynamo, which takes a second to import, is not loaded.
    eager = torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
    exact = _exact_on_cuda() if device.type == "cuda" else nullcontext()
    seen = _unseen_calls_refused(modules, kinds)
    with generators_restored(device), _modules_restored(modules, kinds), seen, exact, eager:
        yield


@contextmanager
def _exact_on_cuda() -> Iterator[None]:
    """Switch off TF32 and what cuDNN does in another order each time, and at the end as the caller had it."""
    before = []
    for owner, name, value in _EXACT_ON_CUDA:
        # As above: an older flag that cannot be read is not needed.
        with suppress(RuntimeError):
            before.append((owner, name, getattr(owner, name), value))
    try:
        for owner, name, _, value in before:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value, _ in before:
            setattr(owner, name, value)


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network inside torch.compile's, DistributedDataParallel's and DataParallel's wrappers.

    A wrapper would call the other processes of a distributed training, which are not scoring.
    """
    while True:
        if isinstance(network, DistributedDataParallel | DataParallel):
            network = network.module
        elif hasattr(network, "_orig_mod"):
            network = network._orig_mod  # type: ignore[assignment]
        else:
            return network


def all_modules(network: nn.Module) -> list[nn.Module]:
    """Return the network and all modules in it, each once; ``network.modules()`` takes four times as long."""
    found: dict[nn.Module, None] = {}
    waiting: list[nn.Module | None] = [network]
    while waiting:
        module = waiting.pop()
        if module is not None and module not in found:
            found[module] = None
            waiting += module._modules.values()
    return list(found)


@contextmanager
def _modules_restored(modules: list[nn.Module], kinds: set[type[nn.Module]]) -> Iterator[None]:
    """Put all modules into eval mode; at the end, restore their attributes, and the values of their buffers."""
    plain = {kind for kind in kinds if _runs_as_torch_wrote_it(kind)}
    scripted = {kind for kind in kinds if issubclass(kind, torch.jit.ScriptModule)}
    flags: list[tuple[dict[str, Any], bool]] = []
    other_flags: list[tuple[nn.Module, bool]] = []
    # Shallow copies: what a forward pass sets (a cache, a mask of this batch size, a counter) is gone afterwards.
    attributes: list[tuple[dict[str, Any], dict[str, Any]]] = []
    contents: dict[int, tuple[Tensor, Tensor]] = {}
    try:
        for module in modules:
            kind, state = type(module), module.__dict__
            # A hook before the forward of a plain module may set something (weight_norm, prune).
            if kind not in plain or state["_forward_pre_hooks"]:
                if kind not in scripted and not isinstance(module, LazyModuleMixin):
                    members = (state, module._parameters, module._buffers)
                    attributes += [(each, each.copy()) for each in members if each]
                buffers = [each for each in module._buffers.values() if each is not None]
                contents.update((id(each), (each, each.clone())) for each in buffers if not nn.parameter.is_lazy(each))
            if kind not in scripted and "training" in state:
                # Module.__setattr__ costs 1 us per module, as much as the rest of this loop.
                flags.append((state, state["training"]))
                state["training"] = False
            else:
                other_flags.append((module, module.training))
                module.training = False
        yield
    finally:
        for current, before in attributes:
            for name in current.keys() - before.keys():
                del current[name]
            current.update(before)
        for state, flag in flags:
            state["training"] = flag
        for module, flag in other_flags:
            module.training = flag
        with torch.inference_mode(False), torch.no_grad():
            for buffer, content in contents.values():
                # Observers of quantization-aware training have made theirs as long as there are channels.
                buffer.resize_(content.shape).copy_(content)


def _runs_as_torch_wrote_it(kind: type) -> bool:
    """Return whether modules of a class are torch's own, with another constructor at most."""
    # Their forward in eval mode sets no attribute and writes to no buffer.
    return kind in _OWN or (vars(kind).keys() <= _OF_EVERY_CLASS and all(map(_runs_as_torch_wrote_it, kind.__bases__)))


_noted: list[dict[str, Any]] = [{} for _ in _NAMESPACES]


@contextmanager
def process_restored() -> Iterator[None]:
    """At the end, torch's settings, its functions and the hooks of all modules are those of before.

    A network that sets the default type, or replaces ``F.relu``, must not change the scores of those that come after.
    """
    settings = [(restore, read(), read) for read, restore in _SETTINGS]
    hooks = [(own, own.copy()) for own in _GLOBAL_HOOKS if isinstance(own, dict)]
    for position, space in enumerate(_NAMESPACES):
        # To compare 3,000 names takes 20 us, to copy them twice as long.
        if vars(space) != _noted[position]:
            _noted[position] = dict(vars(space))
    try:
        yield
    finally:
        for restore, before, read in settings:
            if read() != before:
                restore(before)
        for own, before in hooks:
            if own != before:
                own.clear()
                own.update(before)
        for space, noted in zip(_NAMESPACES, _noted, strict=True):
            _restore_functions(space, noted)


def _restore_functions(space: Any, noted: dict[str, Any]) -> None:
    now = vars(space)
    if now != noted:
        for name, each in noted.items():
            if callable(each) and now.get(name) is not each:
                setattr(space, name, each)


# What a score must see: ReLUs, and the norms whose statistics it chooses.
_LOOKED_FOR = re.compile(r"aten::(\w*(?:relu|clamp|clip|hardtanh|threshold|batch_norm|instance_norm)\w*)")
_SCRIPTED = (torch._C.ScriptFunction, torch._C.ScriptMethod)
# Libraries that start no threads in a forward pass.
_WITHOUT_THREADS = {"torch", "torchvision", "timm", "naswot_lightning"}
_lock = threading.Lock()
# Forward passes that are going on in any thread, and those of this one.
_passes = 0
_here = threading.local()


class UnseenCallError(ValueError):
    """The network computes where its calls cannot be seen, so that its units cannot be counted."""


@contextmanager
def _unseen_calls_refused(modules: list[nn.Module], kinds: set[type[nn.Module]]) -> Iterator[None]:
    """Raise :class:`UnseenCallError` at a call of TorchScript with a ReLU or norm, or, at the end, for a thread."""
    owner = threading.get_ident()
    strayed: list[str] = []
    # A hook takes 1 us per module.
    foreign = any(kind.__module__.partition(".")[0] not in _WITHOUT_THREADS for kind in kinds)
    watched = set(modules) if foreign else set()

    def note(module: nn.Module, inputs: Any) -> None:
        if threading.get_ident() != owner and module in watched:
            strayed.append(type(module).__name__)

    hook = register_module_forward_pre_hook(note) if foreign else None
    _count_passes(+1)
    fault: Exception | None = None
    try:
        yield
    except Exception as error:  # noqa: BLE001 - raised again below
        fault = error
    finally:
        _count_passes(-1)
        if hook is not None:
            hook.remove()
    if strayed:
        unseen = f"the network runs {strayed[0]} in another thread, where its units cannot be seen"
        raise UnseenCallError(f"{unseen}: run its branches one after the other") from fault
    if fault is not None:
        raise fault


def _count_passes(change: int) -> None:
    """Replace the calls of TorchScript while any pass goes on, in all threads; each looks at those of its own."""
    global _passes
    with _lock:
        _here.passes = getattr(_here, "passes", 0) + change
        _passes += change
        for kind, (original, guarded) in _CALLS.items():
            kind.__call__ = guarded if _passes else original


def _guarded(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(scripted: Any, *args: Any, **kwargs: Any) -> Any:
        found = _LOOKED_FOR.search(str(scripted.inlined_graph)) if getattr(_here, "passes", 0) else None
        if found is not None:
            unseen = f"the network calls {found[1]} in TorchScript ({scripted.name}), where it cannot be seen"
            raise UnseenCallError(f"{unseen}: score it as it was before torch.jit.script or torch.jit.trace")
        return original(scripted, *args, **kwargs)

    return call


_CALLS: dict[Any, tuple[Callable[..., Any], Callable[..., Any]]] = {
    kind: (kind.__call__, _guarded(kind.__call__)) for kind in _SCRIPTED
}
