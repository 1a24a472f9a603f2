"""A budget for candidates: most parameters, most multiply-accumulates."""

from __future__ import annotations

from collections.abc import Callable

from naswot_lightning.errors import UserError
from spaces import Complexity
from spaces.errors import TooLargeError


class Limits:
    """Keeps architectures within a budget, and counts those that it refused.

    Args:
        max_params: most parameters, or None.
        max_macs: most multiply-accumulates, or None.
        complexity: parameters and multiply-accumulates of an architecture.
    """

    def __init__(self, max_params: int | None, max_macs: int | None, complexity: Callable[[str], Complexity]) -> None:
        self._bounds = (max_params, max_macs)
        self._complexity = complexity
        self.seen = 0
        self.refused = 0

    def admit(self, architecture: str) -> bool:
        """Return whether the architecture is within the budget.

        One that is larger than its space builds is not. One whose size cannot be counted is: its row says why.
        """
        if self._bounds == (None, None):
            return True
        within = self._is_within(architecture)
        self.seen += 1
        self.refused += not within
        return within

    def _is_within(self, architecture: str) -> bool:
        try:
            size = self._complexity(architecture)
        except TooLargeError:
            return False
        except (UserError, OSError):  # of the data, which the first count loads
            raise
        except Exception:  # noqa: BLE001 - any fault of one network is reported with it, when it is evaluated
            return True
        return all(b is None or v <= b for v, b in zip((size.params, size.macs), self._bounds, strict=True))

    def __str__(self) -> str:
        share = 100 * self.refused / self.seen if self.seen else 0.0
        return f"--max_params, --max_macs: {self.refused} of {self.seen} candidates refused ({share:.1f} %)"
