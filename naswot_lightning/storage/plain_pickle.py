"""Pickles of plain data: numbers, strings, containers and arrays; whatever else one asks for is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from naswot_lightning.errors import UserError

# What the unpickler and numpy raise for content that is not theirs.
_FAULTS = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, MemoryError,
    OverflowError, RecursionError, AssertionError,
)  # fmt: skip


def load_plain(file: BinaryIO, path: Path, content: str = "array", mapping: Callable[..., Any] = dict) -> Any:
    """Return what the next pickle of a file holds; no code of it is imported or called.

    Args:
        file: at the beginning of a pickle.
        path: of the file, for messages.
        content: what it should hold, for messages.
        mapping: what stands for an ``OrderedDict``.

    Raises:
        UserError: the pickle asks for code, or is damaged.
    """
    try:
        return _PlainUnpickler(file, path, content, mapping).load()
    except UserError:
        raise
    except _FAULTS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: damaged, or no {content} ({reason}); get it anew") from None


class _PlainUnpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, path: Path, content: str, mapping: Callable[..., Any]) -> None:
        self._path, self._content, self._mapping = path, content, mapping
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        """Return what plain data need."""
        module = module.replace("numpy._core.", "numpy.core.").replace("__builtin__", "builtins")  # of other versions
        if (module, name) == ("collections", "OrderedDict"):
            return self._mapping
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) in _NEEDED:
            return _NEEDED[module, name]
        raise UserError(
            f"{self._path} is refused: it asks for {module}.{name}, which no {self._content} needs; get it anew"
        )


def _encoded(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise UserError(f"bytes in {encoding[:20]!r} in a pickle, expected latin1; get the file anew")
    return text.encode("latin1")


_NEEDED = {
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    ("numpy.core.multiarray", "scalar"): np.float64(0).__reduce__()[0],
    ("_codecs", "encode"): _encoded,  # how protocol 2 writes bytes
    ("builtins", "set"): set,
}
