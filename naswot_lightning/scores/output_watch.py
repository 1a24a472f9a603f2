"""What notes a number for each output of some of a network's modules while it runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import TypeVar

from torch import Tensor, nn

from naswot_lightning.scores.feature_maps import each_output

_Self = TypeVar("_Self", bound="OutputWatch")


class OutputWatch(AbstractContextManager["OutputWatch"]):
    """While entered, notes a number for each output (N, C, H, W).

    Args:
        modules: whose outputs.

    Attributes:
        values: in the order of the forward pass.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.values: list[float] = []
        self._modules = modules
        self._stack = ExitStack()

    def __enter__(self: _Self) -> _Self:
        self.values = []
        self._stack.enter_context(each_output(self._modules, lambda output: self.values.append(self._value(output))))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @abstractmethod
    def _value(self, output: Tensor) -> float:
        """Return the number of an output."""
