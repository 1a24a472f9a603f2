"""Picks that were trained in copies of one run folder, on several machines, come together in one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import atomic_path
from naswot_lightning.storage.run_folder import RunFolder, differing
from naswot_lightning.training.settings import decisive_settings, read_pick

# What a copy of a search is, beside its picks; figures, the page and wandb's files are made again.
_OF_THE_SEARCH = ("config.yaml", "scores.jsonl", "ranking.json", "ranking.csv", "versions.json")


def merge_picks(whole: RunFolder, copies: Sequence[RunFolder]) -> list[str]:
    """Copy the finished picks of several run folders of one search into one, which is locked by the caller.

    Args:
        whole: new, or one of an earlier merge.
        copies: of the run folder, each with some of its picks trained.

    Returns:
        The names of the picks that were copied.

    Raises:
        UserError: the folders are not of one search, or two hold one pick with other settings; nothing is written.
    """
    for copy in copies:
        copy.reject_symlinks()
        if not copy.ranking.exists():
            raise UserError(f"{copy.path} has no ranking: expected copies of one run folder, with their trained picks")
        if copy.ranking.read_bytes() != copies[0].ranking.read_bytes():
            raise UserError(f"{copy.path} is not of the search of {copies[0].path}: their rankings differ")
    if whole.ranking.exists() and whole.ranking.read_bytes() != copies[0].ranking.read_bytes():
        raise UserError(f"{whole.path} holds another search: choose another --run_dir")
    chosen = _finished_picks([whole, *copies])
    for name in _OF_THE_SEARCH:
        if (source := copies[0].path / name).exists():
            with atomic_path(whole.path / name) as unfinished:
                shutil.copyfile(source, unfinished)
    new = {name: pick for name, pick in chosen.items() if pick.parent != whole.picks}
    for name, pick in new.items():
        with atomic_path(whole.picks / name) as unfinished:
            shutil.copytree(pick, unfinished, ignore=shutil.ignore_patterns(".lock"))
    return list(new)


def _finished_picks(folders: Sequence[RunFolder]) -> dict[str, Path]:
    """Return the folder of each trained pick, the first where several hold it."""
    found: dict[str, Path] = {}
    for pick in (result.parent for folder in folders for result in sorted(folder.picks.glob("*/result.json"))):
        first = found.setdefault(pick.name, pick)
        settings = (decisive_settings(read_pick(each).settings.to_plain()) for each in (first, pick))
        if changed := differing(*settings):
            raise UserError(f"{pick} and {first} had other settings: {'; '.join(changed)}; leave one out")
    return found
