"""Compiled functions: numba's decorator with a cache that can be written, pointers, and what the CPU can do."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core.caching import FunctionCache
from numba.extending import intrinsic

from naswot_lightning.errors import describe_error


def compiled(parallel: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function with numba, and keep the result beside its file, in the user's cache or a temporary folder."""

    def decorate(function: Callable[..., Any]) -> Any:
        made: Any = numba.njit(parallel=parallel, nogil=True)(function)
        try:
            made._cache = _Cache(function)
        except RuntimeError:  # numba found no folder that it can write
            if (folder := _temporary_cache()) is not None:
                numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
                made._cache = _Cache(function)
        made.compile = _held(made.compile)
        return made

    return decorate


def _held(compile: Callable[..., Any]) -> Callable[..., Any]:
    """Let Ctrl-C and SIGTERM wait for a function's end: what they raise where LLVM calls Python is lost."""

    def compile_held(signature: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            return compile(signature)
        came: list[int] = []
        signals = signal.SIGINT, signal.SIGTERM
        handlers = [signal.signal(signum, lambda number, _: came.append(number)) for signum in signals]
        try:
            return compile(signature)
        finally:
            for each, handler in zip(signals, handlers, strict=True):
                signal.signal(each, handler)
            for signum in came:
                signal.raise_signal(signum)

    return compile_held


class _Cache(FunctionCache):
    """Lets a function be compiled where its file is damaged or cannot be written; numba's own raises."""

    _is_said = False

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what is kept; None where there is nothing that can be read, which is then forgotten."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # noqa: BLE001 - whatever pickle raises for a file that ends early
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function where that can be."""
        try:
            super().save_overload(sig, data)
        except Exception as error:  # noqa: BLE001 - a full disk, or a damaged index on one that cannot be written
            if not _Cache._is_said and multiprocessing.parent_process() is None:
                _Cache._is_said = True
                text = f"compiled functions cannot be kept ({describe_error(error)}): every process compiles them"
                print(text, file=sys.stderr)


@lru_cache(maxsize=1)
def _temporary_cache() -> Path | None:
    """Return this user's temporary folder for compiled functions, or None where there is none."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"naswot-lightning-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # What is read from a cache is run: a folder of somebody else's, or that others can write, is not used.
        found = folder.lstat()
        ours = not hasattr(os, "getuid") or found.st_uid == user
        private = ours and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o022
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        private = False
    where = folder if private else "no folder (every process compiles for itself)"
    print(f"compiled functions are kept in {where}: the installation cannot be written", file=sys.stderr)
    return folder if private else None


@intrinsic
def pointer(typingctx, address, like):  # type: ignore[no-untyped-def]
    """Return the pointer to values of the type of ``like`` at an address, for ``numba.carray``."""

    # A tensor costs .2 us by its address and 5 us as a numpy array; a network of NAS-Bench-201 asks for 250.
    def codegen(context, builder: ir.IRBuilder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like)(types.intp, like), codegen


def cpu_multiplies_bf16() -> bool:
    """Return whether the CPU has instructions for bfloat16; an unknown CPU is taken to have them.

    Other CPUs convert every value: 1183 ms a score of NAS-Bench-201 instead of 142 ms, with AVX2.
    """
    features = get_host_cpu_features()
    # Of AVX-512, of AMX, of ARM.
    return not features or any(features.get(name) for name in ("avx512bf16", "amx-bf16", "bf16"))
