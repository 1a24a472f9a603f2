"""From the run folders of all shards to one of the whole search."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from naswot_lightning.config import MergeConfig, SearchConfig, settings_affecting
from naswot_lightning.errors import UserError
from naswot_lightning.registry import OPTIONS, own_paths, trust_named
from naswot_lightning.searching.algorithms.base import architecture_of
from naswot_lightning.searching.algorithms.random import deal
from naswot_lightning.searching.loop import Search, expect_same_evaluator
from naswot_lightning.searching.plan import plan_search
from naswot_lightning.spaces import get_space, known_space
from naswot_lightning.spaces.own_code import expect_trusted
from naswot_lightning.storage.files import atomic_path, remove_unfinished
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.storage.score_rows import ScoreRow, ScoreRows, read_score_rows
from naswot_lightning.training.settings import read_search


class _Shard(NamedTuple):
    """The run folder of a shard, its number out of how many, and its settings."""

    number: int
    parts: int
    folder: RunFolder
    config: SearchConfig

    def __str__(self) -> str:
        return f"{self.folder.path} is shard {self.number}/{self.parts}"


def merge_shards(config: MergeConfig) -> tuple[Search, list[str]]:
    """Write the run folder of the whole search out of those of its shards.

    Returns the search, which finds all its candidates finished, and these. What are not all shards of one search,
    finished and readable, are a UserError, and nothing is written.
    """
    if not config.shards:
        raise UserError("the shards are missing: give the run folders of all of them, --run_dir NEW SHARD SHARD ...")
    shards = sorted((_read_shard(path, config) for path in config.shards), key=lambda shard: shard.number)
    _expect_one_search(shards)
    first = shards[0].config
    if config.trust:
        trust_named(vars(first))
    space = known_space(first.space)
    expect_trusted("dataset", first.dataset)
    if config.space is not None and get_space(config.space).name != space.name:
        raise UserError(f"--space {config.space}: {shards[0].folder.path} is of {space.name}")
    # What this command says itself is not taken from a shard's file.
    own = {name: getattr(config, name) for name in ("run_dir", "overwrite", "trust", "wandb")} | {"logger": "wandb"}
    search = plan_search(replace(first, shard=None, data_dir=config.data_dir or first.data_dir, **own), scored=True)
    candidates = list(map(architecture_of, search.first_batch()))
    rows: dict[str, ScoreRow] = {}
    for path in (shard.folder.scores for shard in shards if shard.folder.scores.exists()):
        found = read_score_rows(path)
        expect_same_evaluator(found, search.evaluator, path)
        rows |= {row.architecture: row for row in found}
    dealt = enumerate(deal(candidates, search.canonical, shards[0].parts), start=1)
    _expect_finished(shards, {number: sum(each not in rows for each in part) for number, part in dealt})
    folder = search.folder
    with search.opened():
        # What an earlier merge left unfinished goes.
        for path in (folder.config, folder.scores, folder.ranking, folder.ranking.with_suffix(".csv")):
            remove_unfinished(path)
        with atomic_path(folder.scores) as unfinished, ScoreRows(unfinished) as whole:
            for candidate in candidates:
                whole.append(rows[candidate])
    return search, candidates


def _read_shard(path: str, config: MergeConfig) -> _Shard:
    folder = RunFolder(path)
    if not os.path.lexists(folder.config):
        raise UserError(f"{path}: no run here; expected the run folder of a shard")
    saved = read_search(folder)
    if (part := saved.part()) is None:
        raise UserError(f"{path} is not a shard: its search had no --shard")
    if os.path.realpath(path) == os.path.realpath(config.run_dir):
        raise UserError(f"--run_dir {config.run_dir}: this is shard {saved.shard}; choose a new folder")
    listed = config.architectures or saved.architectures
    if listed is not None and not os.path.isfile(listed):
        raise UserError(
            f"--architectures {listed}: no such file; give the path of the candidates of {path} on this machine"
        )
    return _Shard(*part, folder, replace(saved, architectures=listed))


def _expect_one_search(shards: Sequence[_Shard]) -> None:
    """Raise :class:`UserError` where shards, in their order, are not of one search, or one of them is there twice."""
    first = shards[0]
    for before, shard in pairwise(shards):
        if shard.parts != first.parts:
            raise UserError(f"{shard} and {first}: expected the shards of one search")
        differing = [
            f"{name} {getattr(shard.config, name)!r}, not {getattr(first.config, name)!r}"
            for name in (*settings_affecting(SearchConfig, "candidates", "scores", "training"), "device")
            if name != "shard" and getattr(shard.config, name) != getattr(first.config, name)
        ]
        if differing:
            raise UserError(
                f"{shard.folder.path} is of another search than {first.folder.path}: {'; '.join(differing)}; "
                "expected the shards of one search"
            )
        if before.number == shard.number:
            name = f"{shard.number}/{shard.parts}"
            raise UserError(
                f"{before.folder.path} and {shard.folder.path} are both shard {name}: give only one of them"
            )


def _expect_finished(shards: Sequence[_Shard], left: dict[int, int]) -> None:
    """Raise an error that names the shards that are missing or have candidates left, and how the first is finished."""
    given, parts = {shard.number: shard for shard in shards}, shards[0].parts
    states, cures = [], []
    for number, count in left.items():
        if number in given and not count:
            continue
        # A missing shard is run as the first one was, in a folder beside it.
        shard, name = given.get(number, shards[0]), f"{number}/{parts}"
        folder, words = shard.folder.path, ["naswot", "search", "--config", str(shard.folder.config)]
        if number in given:
            states.append(f"{name} ({folder}) has {count:,} of its candidates left")
        else:
            states.append(f"{name} is missing")
            folder, words = folder.parent / f"shard{number}of{parts}", [*words, "--shard", name]
        words += ["--run_dir", str(folder)]
        words += ["--trust"] * any(own_paths(name, getattr(shard.config, name, None)) for name in OPTIONS)
        cures.append(shlex.join(words))
    if states:
        likewise = ", and the others likewise" if len(states) > 1 else ""
        raise UserError(f"not all {parts} shards are finished: {', '.join(states)}; run {cures[0]}{likewise}")
