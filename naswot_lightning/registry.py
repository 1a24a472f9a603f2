"""From a name of an option to what it stands for: of a registry, of an installed package, or of the user's own code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from naswot_lightning.errors import UserError
from naswot_lightning.spaces.errors import SpaceError, did_you_mean
from naswot_lightning.spaces.own_code import expect_trusted, import_own, is_import_path, is_own_function, trust

# Options that may name code by its import path.
OPTIONS = ("space", "dataset", "score", "algorithm", "evaluator", "engine", "figure", "logger")
# What a class must have that is named by its import path.
_METHODS = {"algorithm": "propose", "evaluator": "__call__", "engine": "run"}


def resolve(what: str, name: str, registry: Mapping[str, Any]) -> Any:
    """Return what a name of the option ``what`` stands for.

    That is an entry ``module:attribute`` of the registry, an entry point of an installed package in the group
    ``naswot_lightning.<what>s``, or the user's own code by an import path that is trusted
    (:func:`~naswot_lightning.spaces.trust`).

    >>> resolve("statistic", "tau", {"tau": "naswot_lightning.analysis.statistics:kendall_tau"})([1, 2], [3, 4])
    1.0
    """
    if is_import_path(name):
        return _import_own(what, name)
    if name in registry:
        module, _, attribute = registry[name].partition(":")
        return getattr(import_module(module), attribute)
    installed = _installed(what)
    if name in installed:
        try:
            return installed[name].load()
        except (ImportError, AttributeError) as error:
            package = _package(installed[name])
            raise UserError(f"{what} {name} of the package {package} cannot be imported: {error}") from error
    known = [*registry, *installed]
    raise UserError(
        f"unknown {what} {name!r}, expected one of {', '.join(known)}, or an import path such as my_module.my_{what}"
        f"{did_you_mean(name, known)}"
    )


def names_of(what: str, registry: Iterable[str]) -> list[str]:
    """Return the names of a registry and of installed packages; nothing is imported."""
    return list(dict.fromkeys([*registry, *_installed(what)]))


def own_paths(what: str, value: object) -> list[str]:
    """Return the import paths in what an option says, without their options.

    >>> own_paths("score", "naswot,my_module.my_score+snip"), own_paths("algorithm", "my_module.Climb:rate=.5")
    (['my_module.my_score'], ['my_module.Climb'])
    """
    text = value if isinstance(value, str) else ",".join(map(str, value)) if isinstance(value, list) else ""
    names = re.split(r'[\s,+"\[\]]+', text) if what in ("score", "figure", "logger") else [text]
    return [name.partition(":")[0] for name in names if is_import_path(name)]


def trust_named(options: Mapping[str, object]) -> None:
    """Trust the code that options name which the user gave in a call."""
    for what in OPTIONS:
        for path in own_paths(what, options.get(what)):
            trust(path)


@cache
def _installed(what: str) -> dict[str, EntryPoint]:
    return {each.name: each for each in entry_points(group=f"naswot_lightning.{what}s")}


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.module


def _import_own(what: str, path: str) -> Any:
    try:
        expect_trusted(what, path)
        found = import_own(what, path)
    except SpaceError as error:
        raise UserError(str(error)) from None
    method = _METHODS.get(what)
    if inspect.isclass(found) and method is not None and method in dir(found):
        return found
    # Never called: what an installed library, or this one, happens to hold. A score is registered by its decorator.
    if is_own_function(found, path):
        return found
    kind = "a function" if method is None else f"a class with the method {method}, or a function"
    raise UserError(f"{what} {path}: expected {kind} that a module of your own defines")
