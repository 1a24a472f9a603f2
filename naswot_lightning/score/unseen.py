"""Calls of a network that no ``TorchFunctionMode`` sees: an error, where a score would count too few units."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

# What a score must see: rectifiers, and the norms whose statistics it chooses.
_LOOKED_FOR = re.compile(r"aten::(\w*(?:relu|clamp|clip|hardtanh|threshold|batch_norm|instance_norm)\w*)")
_SCRIPTED = (torch._C.ScriptFunction, torch._C.ScriptMethod)
_WITHOUT_THREADS = {"torch", "torchvision", "timm", "spaces"}
_lock = threading.Lock()
_passes = 0  # that are going on in any thread
_here = threading.local()  # .passes: those of this thread


class UnseenCallError(ValueError):
    """The network computes where its calls cannot be seen, so that its units cannot be counted."""


@contextmanager
def unseen_calls_refused(modules: set[nn.Module]) -> Iterator[None]:
    """Within the block, a scripted call that holds what is looked for raises; so does, at the end, another thread.

    Raises:
        UnseenCallError: a call of TorchScript holds a rectifier or a norm, or one of the modules ran in another thread.
    """
    owner = threading.get_ident()
    strayed: list[str] = []

    def note(module: nn.Module, inputs: Any) -> None:
        if threading.get_ident() != owner and module in modules:
            strayed.append(type(module).__name__)

    # Of libraries that start no threads in a forward pass, a hook is not needed: it takes 1 us per module.
    foreign = any(kind.__module__.partition(".")[0] not in _WITHOUT_THREADS for kind in {type(m) for m in modules})
    hook = register_module_forward_pre_hook(note) if foreign else None
    _count(+1)
    fault: Exception | None = None
    try:
        yield
    except Exception as error:  # noqa: BLE001 - raised again below
        fault = error
    finally:
        _count(-1)
        if hook is not None:
            hook.remove()
    if strayed:
        raise UnseenCallError(
            f"the network runs {strayed[0]} in another thread, where its units cannot be seen: "
            "run its branches one after the other"
        ) from fault
    if fault is not None:
        raise fault


def _count(change: int) -> None:
    """Guard the calls of TorchScript while any pass goes on, in all threads; each looks at those of its own."""
    global _passes
    with _lock:
        _here.passes = getattr(_here, "passes", 0) + change
        _passes += change
        for kind, original in _ORIGINAL.items():
            kind.__call__ = _guarded(original) if _passes else original


def _guarded(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(scripted: Any, *args: Any, **kwargs: Any) -> Any:
        found = _LOOKED_FOR.search(str(scripted.inlined_graph)) if getattr(_here, "passes", 0) else None
        if found is not None:
            raise UnseenCallError(
                f"the network calls {found[1]} in TorchScript ({scripted.name}), where it cannot be seen: "
                "score the network as it was before torch.jit.script or torch.jit.trace"
            )
        return original(scripted, *args, **kwargs)

    return call


_ORIGINAL: dict[Any, Callable[..., Any]] = {kind: kind.__call__ for kind in _SCRIPTED}
