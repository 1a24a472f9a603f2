"""From a name of an option to what it stands for: of a registry, of an installed package, or of the user's own code."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from naswot_lightning.errors import UserError
from naswot_lightning.spaces.errors import SpaceError, did_you_mean
from naswot_lightning.spaces.own_code import Value, expect_trusted, import_own, is_import_path, read_options, trust

_SEARCHING = "naswot_lightning.searching"
_ALGORITHMS, _EVALUATORS = f"{_SEARCHING}.algorithms", f"{_SEARCHING}.evaluators"
_FIGURES, _LOGGERS = "naswot_lightning.report.figures", "naswot_lightning.report.lightning_loggers"
# What makes each thing that an option names, in the order of the help: import paths, so that --help loads no torch.
# Spaces, scores and data sets have files of their own.
REGISTRIES: dict[str, dict[str, str]] = {
    "algorithm": {
        "random": f"{_ALGORITHMS}.random:RandomSampling",
        "rea": f"{_ALGORITHMS}.evolution:RegularizedEvolution",
        "area": f"{_ALGORITHMS}.evolution:AssistedEvolution",
        "reinforce": f"{_ALGORITHMS}.reinforce:Reinforce",
        "bohb": f"{_ALGORITHMS}.halving:BOHB",
        "halving": f"{_ALGORITHMS}.halving:SuccessiveHalving",
        "nsga2": f"{_ALGORITHMS}.nsga2:NSGA2",
    },
    "evaluator": {
        "scores": f"{_EVALUATORS}.base:score_evaluator",
        "table": f"{_EVALUATORS}.table:table_evaluator",
        "train": f"{_EVALUATORS}.train:training_evaluator",
    },
    "engine": {
        "local": "naswot_lightning.execution.local:local_executor",
        "ray": "naswot_lightning.execution.ray:RayExecutor",
        "slurm": "naswot_lightning.execution.slurm:SlurmExecutor",
    },
    # Functions (run, findings) -> Figure | None, in the order they are shown.
    "figure": {
        "score_vs_params": f"{_FIGURES}.scatter:draw_score_vs_params",
        "score_distribution": f"{_FIGURES}.distributions:draw_distribution",
        "pareto": f"{_FIGURES}.scatter:draw_pareto",
        "figure1": f"{_FIGURES}.distributions:draw_kernels",
        "jacobian_histograms": f"{_FIGURES}.distributions:draw_jacobians",
        "figure3": f"{_FIGURES}.scatter:draw_figure3",
        "figure4": f"{_FIGURES}.bars:draw_figure4",
        "figure5": f"{_FIGURES}.distributions:draw_figure5",
        "figure6": f"{_FIGURES}.curves:draw_figure6",
        "score_vs_accuracy": f"{_FIGURES}.scatter:draw_score_vs_accuracy",
    },
    "logger": {
        "wandb": f"{_LOGGERS}:wandb_logger",
        "csv": f"{_LOGGERS}:csv_logger",
        "tensorboard": f"{_LOGGERS}:tensorboard_logger",
        "mlflow": f"{_LOGGERS}:mlflow_logger",
    },
}
# Options that may name code by its import path.
OPTIONS = ("space", "dataset", "score", "algorithm", "evaluator", "engine", "figure", "logger")
# What a class must have that an import path names.
_METHODS = {"algorithm": "propose", "evaluator": "__call__", "engine": "run"}


def resolve(what: str, name: str, known: Iterable[str] = ()) -> Any:
    """Return what a name of the option ``what`` stands for, without the options behind a ":".

    That is an entry ``module:attribute`` of the registry, an entry point of an installed package in the group
    ``naswot_lightning.<what>s``, or the user's own code by an import path that is trusted
    (:func:`~naswot_lightning.spaces.trust`). ``known`` are names that are resolved elsewhere, for messages.

    >>> resolve("algorithm", "rea:population=20").__name__
    'RegularizedEvolution'
    """
    registry, installed, path = REGISTRIES.get(what, {}), _installed(what), name.partition(":")[0]
    if is_import_path(name):
        return _import_own(what, name)
    if path in registry:
        module, _, attribute = registry[path].partition(":")
        return getattr(import_module(module), attribute)
    if path in installed:
        try:
            return installed[path].load()
        except (ImportError, AttributeError) as error:
            entry = installed[path]
            package = entry.dist.name if entry.dist else entry.module
            raise UserError(f"{what} {path} of the package {package} cannot be imported: {error}") from error
    names = [*known, *registry, *installed]
    raise UserError(
        f"unknown {what} {path!r}, expected one of {', '.join(names)}, or an import path such as my_module.my_{what}"
        f"{did_you_mean(path, names)}"
    )


def _import_own(what: str, name: str) -> Any:
    method = _METHODS.get(what)
    kinds, accepts = (f"a class with the method {method}" if method else ""), lambda each: method in dir(each)
    if what == "dataset":
        # Of pytorch_lightning or of lightning.pytorch.
        kinds = "a LightningDataModule"
        accepts = lambda each: any(base.__name__ == "LightningDataModule" for base in each.__mro__[1:])  # noqa: E731
    try:
        expect_trusted(what, name)
        return import_own(what, name.partition(":")[0], kinds, accepts)
    except SpaceError as error:
        raise UserError(str(error)) from None


def resolve_with_options(what: str, name: str, given: Collection[str] = ()) -> tuple[str, Any, dict[str, Value]]:
    """Return the full name of what is named, with its options sorted, what makes it, and the options as arguments.

    Arguments of its constructor that are ``given`` are no options.
    """
    made = resolve(what, name)
    try:
        full, options = read_options(name, made, what, given)
    except SpaceError as error:
        raise UserError(str(error)) from None
    return full, made, options


def names_of(what: str) -> list[str]:
    """Return the names of a registry and of installed packages; nothing is imported."""
    return list(dict.fromkeys([*REGISTRIES.get(what, ()), *_installed(what)]))


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
