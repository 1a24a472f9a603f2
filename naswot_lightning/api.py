"""Search and train from Python: the same work, settings and run folders as the commands, results as objects.

``search`` and ``train`` go from a space to trained picks; ``score`` and ``rank`` take networks of one's own.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from torch import Tensor, nn

from naswot_lightning.analysis.evidence import Gain
from naswot_lightning.analysis.results import TrainingResult, read_results
from naswot_lightning.cli.search import run_search
from naswot_lightning.cli.train import run_training
from naswot_lightning.config import SearchConfig, TrainConfig
from naswot_lightning.deploy.model import TrainedModel, choose_result, load
from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.naswot import Units
from naswot_lightning.naswot.naswot import expect_tensor
from naswot_lightning.ranking import rank as rank_rows
from naswot_lightning.ranking import read_ranking
from naswot_lightning.registry import trust_named
from naswot_lightning.report.compare import comparison_rows
from naswot_lightning.report.findings import Findings, find
from naswot_lightning.report.run import read_run
from naswot_lightning.scorer import ScoreEvaluator
from naswot_lightning.scores import AGGREGATES
from naswot_lightning.scores.registry import compute_scores, parse_scores, probe_of
from naswot_lightning.searching.loop import row_of
from naswot_lightning.spaces.base import NamedNetworks
from naswot_lightning.storage.records import from_plain
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.training.plan import choose_picks

Config = TypeVar("Config", SearchConfig, TrainConfig)


def score(
    network: nn.Module,
    images: Tensor,
    labels: Tensor | None = None,
    scores: Sequence[str] = ("naswot",),
    num_classes: int | None = None,
    units: Units = "rectifiers",
) -> dict[str, float]:
    """Return scores of an untrained network on a mini-batch; the network is left as it was found.

    Args:
        network: maps images to logits.
        images: (N, C, H, W), normalised as for training.
        labels: (N,) class indices, for the scores that look at a loss.
        scores: their names (:func:`naswot_lightning.scores.registry.get_score` lists them).
        num_classes: outputs of the network; by default as many as it returns for two of the images.
        units: that scores of codes count: "rectifiers", "all" (GELU, SiLU and the like, too), or "auto" for all where
            the network has no rectifier.

    Returns:
        By name; -inf where the network is degenerate.

    Raises:
        UserError: an unknown score, or one that needs labels where there are none.
        NoRectifierError: a score needs units that count, and the network has none.

    >>> import torch
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> score(network, torch.randn(4, 3, 2, 2), scores=["params", "rectified_units"])
    {'params': 131.0, 'rectified_units': 8.0}
    """
    trust_named({"score": list(scores)})
    for name in scores:
        if "+" in name or name in AGGREGATES:
            raise UserError(f"score {name!r} puts ranks of several networks together: use rank() of them")
    probe = probe_of(network, images, labels, scores, num_classes)
    return compute_scores(network, probe, scores, units)


def rank(
    networks: Mapping[str, Callable[[int], nn.Module]],
    images: Tensor,
    labels: Tensor | None = None,
    scores: Sequence[str] = ("naswot",),
    num_classes: int | None = None,
    seed: int = 0,
    units: Units = "rectifiers",
) -> Ranking:
    """Rank networks of one's own, each built with weights that depend on ``seed`` and its name alone.

    Args:
        networks: for each name a function of the number of classes that returns an untrained network.
        images: (N, 3, H, W), normalised.
        labels: (N,) class indices, for the scores that look at a loss.
        scores: what to rank by; the first decides, the others are columns. Names may be joined by "+", as in
            ``naswot search --score``.
        num_classes: 1 + the largest label by default, 10 without labels.
        seed: of the weights.
        units: that scores of codes count, as in :func:`score`.

    What is missing of a network, and why, is a warning.

    Raises:
        TypeError: the images are no tensor.
        UserError: an unknown score, or one that needs labels where there are none.
    """
    expect_tensor(images)
    classes = num_classes or (10 if labels is None else int(labels.max()) + 1)
    trust_named({"score": list(scores)})
    criteria = tuple(parse_scores(",".join(scores)))
    names = list(dict.fromkeys(part.name for criterion in criteria for part in criterion.parts))
    probe = probe_of(nn.Identity(), images, labels, names, classes)
    space = NamedNetworks(networks, "networks")
    evaluator = ScoreEvaluator(space, [probe], names, seed, images.device, criteria=criteria, units=units)
    evaluator.prepare()
    rows = [row_of(space.name, name, name, evaluator(name), seed, probe.fingerprint) for name in networks]
    for row in rows:
        if row.reason is not None:
            warnings.warn(f"{row.architecture}: {row.reason}", stacklevel=2)
    return Ranking(rank_rows(rows, criteria))


def search(scores: Sequence[str] | None = None, **options: Any) -> Ranking:
    """Rank untrained networks of a search space, as ``naswot search`` does; a repeated call continues.

    Args:
        scores: what to rank by, as in :func:`rank`.
        options: those of ``naswot search`` by their names, such as ``space``, ``dataset``, ``samples``, ``run_dir``.

    Raises:
        UserError: an unknown option, an invalid value or an unreadable file.
    """
    given = options if scores is None else {**options, "score": ",".join(scores)}
    config = _config(SearchConfig, given)
    # Bars and warnings are on the other stream.
    with redirect_stdout(io.StringIO()) as text:
        code = run_search(config)
    ranking = Ranking(read_ranking(Path(config.run_dir)), Path(config.run_dir), text.getvalue())
    if code and ranking.frame["status"].iloc[0] != "ok":
        raise UserError(f"no candidate could be scored: see {ranking.run_dir}/scores.jsonl")
    return ranking


def train(picks: Ranking | Picks, **options: Any) -> TrainedPicks:
    """Train picks of a search, as ``naswot train`` does; a repeated call continues.

    Args:
        picks: such as ``ranking.top(3)``; of a whole ranking, the ``top`` of the options.
        options: those of ``naswot train`` by their names, such as ``epochs`` or ``batch_size``.

    Raises:
        UserError: an unknown option, an invalid value, a ranking without a run folder, or a training that failed.
    """
    if picks.run_dir is None:
        raise UserError("these networks have no run folder: rank them by search(space=...), as a module of your own")
    given: dict[str, Any] = {"run_dir": str(picks.run_dir), **options}
    if isinstance(picks, Picks):
        given["picks"] = ",".join(map(str, picks.frame["rank"]))
    with redirect_stdout(io.StringIO()) as text:
        code = run_training(_config(TrainConfig, given))
    if code:
        raise UserError(f"a training did not end: see train.log in the folders of {picks.run_dir}/picks")
    return TrainedPicks(picks.run_dir, text.getvalue())


@dataclass(frozen=True)
class Picks:
    """Networks of a ranking that :func:`train` takes."""

    frame: pd.DataFrame
    """Rows of the ranking."""
    run_dir: Path | None

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True)
class Ranking:
    """Networks, best first."""

    frame: pd.DataFrame
    """rank, architecture, canonical, score, params, macs, n_units, status, and a column for each further score."""
    run_dir: Path | None = None
    """The folder of the search; None where networks of one's own were ranked in memory."""
    summary: str = field(default="", repr=False)
    """What the command prints."""

    @property
    def best(self) -> pd.Series[Any]:
        """The first row."""
        return self.frame.iloc[0]

    def top(self, count: int) -> Picks:
        """Return the ``count`` best networks that differ."""
        return Picks(choose_picks(self.frame, count), self.run_dir)

    def spread(self, count: int) -> Picks:
        """Return ``count`` networks spread evenly over the ranking: what tells whether the score is right."""
        return Picks(choose_picks(self.frame, count, "spread"), self.run_dir)

    def __len__(self) -> int:
        return len(self.frame)

    def _repr_html_(self) -> str:
        return str(self.frame.head(10)._repr_html_())  # type: ignore[operator]


@dataclass(frozen=True)
class TrainedPicks:
    """All trained picks of a run folder."""

    run_dir: Path
    summary: str = field(default="", repr=False)
    """What the command prints."""

    @cached_property
    def results(self) -> list[TrainingResult]:
        """One per training, the best rank first."""
        return read_results(self.run_dir)

    @property
    def frame(self) -> pd.DataFrame:
        """The columns of ``comparison.csv``."""
        return pd.DataFrame(comparison_rows(self.results))

    @property
    def best(self) -> TrainingResult:
        """The training with the highest validation accuracy."""
        return choose_result(self.run_dir)

    @property
    def verdict(self) -> str:
        """One sentence: does the score beat model size on these networks?"""
        return self._findings.groups[0].verdict.sentence

    @property
    def gain(self) -> Gain | None:
        """What the picks gain over the random candidates of ``controls``, with its interval; None without controls."""
        return next(iter(self._findings.gains), None)

    @cached_property
    def _findings(self) -> Findings:
        return find(read_run(RunFolder(str(self.run_dir))))

    def load(self, pick: str | int = "best") -> TrainedModel:
        """Return the trained model of a pick (:func:`load`)."""
        return load(self.run_dir, pick)

    def _repr_html_(self) -> str:
        return str(self.frame._repr_html_())  # type: ignore[operator]


def _config(kind: type[Config], options: Mapping[str, Any]) -> Config:
    """Return the settings of a command; raise :class:`UserError` for an unknown option, or a value of another type."""
    names = [each.name for each in fields(kind)]
    for name in options:
        expect_name("option", name, names)
    trust_named(options)
    try:
        return from_plain(kind, {name: str(v) if isinstance(v, Path) else v for name, v in options.items()})
    except UserError:
        raise
    except ValueError as error:
        raise UserError(str(error)) from None
