"""Search: rank candidates of a space at initialization (section 4, Algorithm 1)."""

from naswot_lightning.search.engine import run_search

__all__ = ["run_search"]
