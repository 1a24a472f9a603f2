"""What a run folder holds, beside what it should hold."""

import json
from collections import Counter
from pathlib import Path

import torch


def whole_rows(run: Path) -> list[bytes]:
    """Return the lines of a search's finished candidates, without one that a kill has cut."""
    path = run / "scores.jsonl"
    content = path.read_bytes() if path.exists() else b""
    return content.split(b"\n")[:-1]


def rows_of(run: Path) -> dict[str, dict]:
    """Return the rows of a search by their architectures."""
    rows = [json.loads(line) for line in whole_rows(run)]
    return {row["architecture"]: row for row in rows}


def search_is(verdict, run: Path, reference: Path, before: list[bytes]) -> None:
    """Judge a search by the rows that it had before the fault, and by one that nothing disturbed."""
    after = whole_rows(run)
    kept = after[: len(before)] == before
    verdict.lost += 0 if kept else len(set(before) - set(after))
    verdict.expect(kept, f"{len(before)} finished candidates are not as they were")
    counts = Counter(json.loads(line)["architecture"] for line in after)
    verdict.twice += sum(count - 1 for count in counts.values())
    verdict.expect(len(counts) == len(after), "architectures that were scored twice")
    ranking, expected = (folder / "ranking.json" for folder in (run, reference))
    verdict.identical = ranking.exists() and ranking.read_bytes() == expected.read_bytes()
    verdict.expect(verdict.identical, "the ranking is not that of an undisturbed search")


def training_is(verdict, run: Path, reference: Path) -> None:
    """Judge a training by the bits of one that nothing disturbed."""
    names = sorted(path.name for path in (reference / "picks").iterdir())
    differing = [name for name in names if not _same_pick(run / "picks" / name, reference / "picks" / name)]
    verdict.identical = not differing
    verdict.expect(not differing, f"not the bits of an undisturbed training: {differing}")


def _same_pick(folder: Path, reference: Path) -> bool:
    if not (folder / "result.json").exists():
        return False
    same = (folder / "trajectory.csv").read_bytes() == (reference / "trajectory.csv").read_bytes()
    ours, theirs = (_weights(each) for each in (folder, reference))
    return same and ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in theirs)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
