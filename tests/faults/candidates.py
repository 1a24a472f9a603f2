"""Candidates of a user's own space that fail: each is a row with its reason, and all others are ranked."""

import resource
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from naswot_lightning.ranking import as_dicts, read_ranking
from tests.faults.rounds import QUIET, Fault, Round, rows_of

_MOST_BYTES = 16 * 2**30  # of a process's addresses; torch and a network take 3
_CODE = """
import multiprocessing, os, signal, time
import torch
from torch import nn


class Bad(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.layer = kind, nn.Linear(3, 10)

    def forward(self, images):
        if self.kind == "raises":
            raise ValueError("of its own")
        if self.kind == "allocates":
            held = []
            while True:
                held.append(torch.empty(2**30, dtype=torch.uint8, device="cpu"))
        if self.kind == "is-killed" and multiprocessing.parent_process():
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "never-ends":
            time.sleep(600)
        return self.layer(torch.relu(images.mean((2, 3)) * float("nan")))


def _unbuildable(classes):
    raise RuntimeError("cannot be built")


def _good(width):
    return lambda classes: nn.Sequential(
        nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)
    )


def networks():
    good = {f"good-{width}": _good(width) for width in range(4, 12)}
    kinds = ("raises", "allocates", "is-killed", "never-ends", "is-nan")
    return {**good, **{kind: lambda classes, kind=kind: Bad(kind) for kind in kinds}, "unbuildable": _unbuildable}
"""
_GOOD = [f"good-{width}" for width in range(4, 12)]


@dataclass(frozen=True)
class Bad:
    """A candidate that fails."""

    name: str
    reason: str  # that its row gives, in part
    told: str | None = None  # what the command says of it, in part


_RAISES = Bad("raises", "ValueError: of its own")
_UNBUILDABLE = Bad("unbuildable", "RuntimeError: cannot be built")
_NAN = Bad("is-nan", "not a number")
_ALLOCATES = Bad("allocates", "allocate memory")
_KILLED = Bad("is-killed", "killed by SIGKILL, as Linux does where memory runs out", "tried again at the end")
_ENDLESS = Bad("never-ends", "gave no answer in 5 s", "tried again at the end")


def _bound_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))


def _search(round: Round, names: list[str], run: str, *words):
    (round.folder / "faulty_space.py").write_text(_CODE)
    (round.folder / "names.txt").write_text("".join(f"{name}\n" for name in names))
    given = ("--space", "faulty_space.networks", "--architectures", "names.txt", "--batch_size", 16)
    command = (*given, *QUIET, "--run_dir", round.folder / run, *words)
    return round.start("search.py", *command, cwd=round.folder, before=_bound_memory).wait(120)


def bad_candidate(round: Round, bad: Bad, workers: int) -> None:
    """Rank a candidate that fails among others, at a random place."""
    names = list(_GOOD)
    names.insert(round.rng.randrange(len(names) + 1), bad.name)
    ended = _search(round, names, "run", "--workers", workers, *(("--timeout", 5) if bad.told else ()))
    if bad.told:
        round.expect_told(ended, 0, "warning", bad.told)
    else:
        round.expect_code(ended, 0)
        round.verdict.one_line = round.verdict.expect(not ended.told, f"more than its row tells: {ended.told}")
    _judge(round, bad)


def _judge(round: Round, bad: Bad) -> None:
    reference = _search(round, _GOOD, "reference", "--workers", 1)
    round.expect_code(reference, 0)
    ours, theirs = (rows_of(round.folder / run) for run in ("run", "reference"))
    row = ours.get(bad.name, {})
    named = row.get("status") == "failed" and bad.reason in (row.get("reason") or "")
    if not round.verdict.expect(named, f"its row is {row}"):
        round.verdict.one_line = False
    ranked = [each for each in _scores(round.folder / "run") if each[1] is not None]
    expected = _scores(round.folder / "reference")
    round.verdict.identical = ranked == expected
    round.verdict.expect(ranked == expected, "the others are not ranked as without it")
    round.verdict.lost = len(theirs.keys() - ours.keys())


def _scores(folder: Path) -> list[tuple[str, float | None]]:
    return [(row["architecture"], row["score"]) for row in as_dicts(read_ranking(folder))]


def _fault(bad: Bad, workers: int) -> Fault:
    run_round = partial(bad_candidate, bad=bad, workers=workers)
    return Fault(f"candidate: {bad.name}, --workers {workers}", run_round, most=2)


FAULTS = [
    *(_fault(bad, workers) for bad in (_RAISES, _UNBUILDABLE, _NAN, _ALLOCATES) for workers in (1, 2)),
    *(_fault(bad, workers) for bad in (_KILLED, _ENDLESS) for workers in (1, 2)),  # with a timeout
]
