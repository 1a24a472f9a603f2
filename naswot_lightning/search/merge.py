"""From the run folders of all shards to one of the whole search."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from naswot_lightning.config import MergeConfig, SearchConfig, SearchMachine
from naswot_lightning.errors import UserError
from naswot_lightning.search.plan import Search, first_batch, plan_search
from naswot_lightning.search.shards import deal
from naswot_lightning.search.trial import architecture_of
from naswot_lightning.storage.files import atomic_path, remove_unfinished
from naswot_lightning.storage.records import STRICT, from_json, from_plain
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.storage.score_rows import ScoreRow
from spaces import get_space, is_import_path, known_space, trust

# Settings of a machine or a place, which decide no result: the shards of one search may differ in them.
_FREE = {each.name for each in fields(SearchMachine)} | {
    "run_dir", "data_dir", "top", "wandb", "overwrite", "trust",
}  # fmt: skip
_WRITTEN = ("config.yaml", "scores.jsonl", "ranking.json", "ranking.csv")
_MOST_NAMED = 8  # shards in a message


@dataclass
class _Saved(SearchConfig):
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class _Shard:
    """A run folder that holds a part of a search: which of how many, and all settings."""

    folder: RunFolder
    number: int
    parts: int
    config: SearchConfig

    @property
    def name(self) -> str:
        return f"{self.number}/{self.parts}"


@dataclass(frozen=True)
class _Line:
    """A line of ``scores.jsonl`` without its end, and the fingerprint in it."""

    text: bytes
    probe: str


def merge_shards(config: MergeConfig) -> tuple[Search, list[str]]:
    """Write the run folder of the whole search out of those of its shards.

    Returns:
        The search, which finds all its candidates finished, and these.

    Raises:
        UserError: these are not the shards of one search, one of them is missing or not finished, or a file is at
            fault; nothing is written then.
    """
    shards = _read_shards(config)
    _expect_space(shards[0], config)
    search = plan_search(_whole(shards[0], config), scored=True)
    candidates = list(map(architecture_of, first_batch(search)))
    _write(search, candidates, _finished_lines(search, candidates, shards))
    return search, candidates


def _read_shards(config: MergeConfig) -> list[_Shard]:
    """Return the shards in their order, those of one search, each once."""
    if not config.shards:
        raise UserError("expected the run folders of all shards: --run_dir NEW SHARD SHARD ...")
    shards = [_read_shard(path, config.architectures) for path in config.shards]
    for shard in shards:
        if os.path.realpath(shard.folder.path) == os.path.realpath(config.run_dir):
            raise UserError(f"--run_dir {config.run_dir}: it is shard {shard.name}; choose another folder")
        _expect_same_search(shards[0], shard)
    by_number: dict[int, _Shard] = {}
    for shard in shards:
        if (other := by_number.setdefault(shard.number, shard)) is not shard:
            raise UserError(
                f"{other.folder.path} and {shard.folder.path} are both shard {shard.name}: give one of them"
            )
    return [by_number[number] for number in sorted(by_number)]


def _read_shard(path: str, architectures: str | None) -> _Shard:
    folder = RunFolder(path)
    if not os.path.lexists(folder.config):
        raise UserError(f"{path}: no run in it; expected the run folder of a shard")
    saved = folder.read_config()
    try:
        config = from_plain(_Saved, saved)
    except ValueError as error:
        raise UserError(f"{folder.config} is damaged ({error}); run its search again, which rewrites it") from None
    if (part := config.part()) is None:
        raise UserError(f"{path} is no shard: it is of a search without --shard")
    listed = architectures or config.architectures
    if listed is not None and not os.path.isfile(listed):
        raise UserError(f"--architectures {listed}: no such file; say where the candidates of {path} are listed here")
    return _Shard(folder, *part, replace(config, architectures=listed))


def _expect_same_search(first: _Shard, shard: _Shard) -> None:
    if shard.parts != first.parts:
        raise UserError(
            f"{shard.folder.path} is shard {shard.name}, and {first.folder.path} is shard {first.name}: expected the "
            "shards of one search"
        )
    names = [each.name for each in fields(SearchConfig) if each.name not in _FREE]
    ours, theirs = vars(shard.config), vars(first.config)
    differing = [f"{name} {ours[name]!r}, not {theirs[name]!r}" for name in names if ours[name] != theirs[name]]
    if differing:
        raise UserError(
            f"{shard.folder.path} is of another search than {first.folder.path}: {'; '.join(differing)}; expected the "
            "shards of one search"
        )


def _expect_space(shard: _Shard, config: MergeConfig) -> None:
    """Raise an error where the space is code that nobody vouched for, or not the one that is asked for."""
    if config.trust:
        trust(shard.config.space)
    space = known_space(shard.config.space)
    if config.space is not None and get_space(config.space).name != space.name:
        raise UserError(f"--space {config.space}: {shard.folder.path} is of {space.name}")


def _whole(shard: _Shard, config: MergeConfig) -> SearchConfig:
    """Return the settings of the whole search; those of this command are not taken from a shard's file."""
    return replace(
        shard.config,
        run_dir=config.run_dir,
        shard=None,
        data_dir=config.data_dir or shard.config.data_dir,
        overwrite=config.overwrite,
        trust=config.trust,
        wandb=config.wandb,
    )


def _finished_lines(search: Search, candidates: Sequence[str], shards: Sequence[_Shard]) -> dict[str, bytes]:
    """Return the line of every candidate.

    Raises:
        UserError: a shard is missing, has no line for one of its candidates, or was scored on other data.
    """
    lines = {shard.number: _read_lines(search, shard) for shard in shards}
    dealt = dict(enumerate(deal(candidates, search.canonical, shards[0].parts), start=1))
    left = {number: sum(each not in lines.get(number, {}) for each in own) for number, own in dealt.items()}
    _expect_all_finished(shards, left)
    _expect_same_data(search, shards, lines)
    return {candidate: lines[number][candidate].text for number, own in dealt.items() for candidate in own}


def _read_lines(search: Search, shard: _Shard) -> dict[str, _Line]:
    """Return the lines of a shard by their candidates; a last one that a crash cut off is none."""
    path = shard.folder.scores
    names = {column.name for column in search.evaluator.columns}
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return {}
    found = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = from_json(ScoreRow, line)
            if set(row.scores) != names or not set(row.stds or ()) <= names:
                raise ValueError(f"scores of {', '.join(row.scores) or 'nothing'}, not of {', '.join(names)}")
        except ValueError as error:
            cure = "remove the line, and run its search again"
            raise UserError(f"{path}, line {number}: not a finished candidate ({error}); {cure}") from None
        found[row.architecture] = _Line(line, row.probe)
    return found


def _expect_all_finished(shards: Sequence[_Shard], left: Mapping[int, int]) -> None:
    """Raise an error that names the shards that are missing or have candidates left, and how the first is finished."""
    given = {shard.number: shard for shard in shards}
    unfinished = {number: count for number, count in left.items() if number not in given or count}
    if not unfinished:
        return
    parts = shards[0].parts
    states = [
        f"{number}/{parts} ({given[number].folder.path}) has {count:,} of its candidates left"
        if number in given
        else f"{number}/{parts} is missing"
        for number, count in unfinished.items()
    ]
    command = _command(shards[0], given.get(number := next(iter(unfinished))), number)
    likewise = ", and the others likewise" if len(unfinished) > 1 else ""
    more = f", and {len(states) - _MOST_NAMED:,} more" if len(states) > _MOST_NAMED else ""
    named = ", ".join(states[:_MOST_NAMED])
    raise UserError(f"not all {parts} shards are finished: {named}{more}; run {command}{likewise}")


def _command(first: _Shard, shard: _Shard | None, number: int) -> str:
    """Return the command that finishes a shard, or begins one that is missing."""
    if shard is not None:
        words = [str(shard.folder.config), "--run_dir", str(shard.folder.path)]
    else:
        name = f"{number}/{first.parts}"
        place = first.folder.path.parent / f"shard{number}of{first.parts}"
        words = [str(first.folder.config), "--shard", name, "--run_dir", str(place)]
    own = ["--space", first.config.space] if is_import_path(first.config.space) else []
    return shlex.join(["python", "search.py", "--config", *words, *own])


def _expect_same_data(search: Search, shards: Sequence[_Shard], lines: Mapping[int, Mapping[str, _Line]]) -> None:
    """Raise an error where two shards, or all of them and this machine, have other mini-batches."""
    probes = [(shard.folder.path, line.probe) for shard in shards for line in lines[shard.number].values()]
    first, expected = probes[0]
    for path, probe in probes:
        if probe != expected:
            raise UserError(
                f"{path}: the mini-batch (fingerprint {probe}) is not that of {first} ({expected}): the data differ; "
                "score one of them again on the data of the others, in another --run_dir"
            )
    if expected != search.evaluator.fingerprint:
        raise UserError(
            f"the mini-batch (fingerprint {search.evaluator.fingerprint}) is not the one of the shards ({expected}): "
            "the data here differ; restore them, or say with --data_dir where they are"
        )


def _write(search: Search, candidates: Sequence[str], lines: Mapping[str, bytes]) -> None:
    """Write the lines of all candidates in place of those of an earlier merge."""
    with search.folder.open(dict(search.settings), search.identity, search.overwrite):
        for name in _WRITTEN:
            remove_unfinished(search.folder.path / name)
        with atomic_path(search.folder.scores) as beside, open(beside, "wb") as file:
            file.writelines(lines[candidate] + b"\n" for candidate in candidates)
