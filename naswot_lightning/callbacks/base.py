"""A callback for the Trainers of both packages of Lightning, ``pytorch_lightning`` and ``lightning.pytorch``."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import pytorch_lightning as pl


class Callback(pl.Callback):
    """A callback of pytorch_lightning, and of ``lightning.pytorch`` where that was imported before it is made.

    Each Trainer refuses callbacks that are not of its own package's class.
    """

    def __new__(cls, *_: Any, **__: Any) -> Any:
        """Make one of the class that fits the packages which are imported: to import both takes seconds."""
        other = sys.modules.get("lightning.pytorch")
        return object.__new__(cls if other is None else _of_both(cls, other.Callback))  # type: ignore[arg-type]


@cache
def _of_both(cls: Any, other: Any) -> Any:
    """Return the class of that name which both Trainers take."""
    if issubclass(cls, other):
        return cls

    def reduce(self: Callback) -> tuple[Any, ...]:
        """Pickle by the name of the class, which is made again."""
        return cls.__new__, (cls,), self.__dict__

    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (cls, other), {**names, "__reduce__": reduce})
