"""From a name of an option to what it stands for: registries hold import paths, so that listing names loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from naswot_lightning.errors import expect_name


def resolve(what: str, name: str, registry: Mapping[str, str]) -> Any:
    """Return what a registry has under a name, as ``module:attribute``; ``what`` is the kind of thing, in words.

    >>> resolve("statistic", "tau", {"tau": "naswot_lightning.analysis.statistics:kendall_tau"})([1, 2], [3, 4])
    1.0
    """
    module, _, attribute = registry[expect_name(what, name, registry)].partition(":")
    return getattr(import_module(module), attribute)
