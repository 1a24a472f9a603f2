"""Candidates of a user's own space that fail: each is a row with its reason, and all others are ranked."""

import resource
from functools import partial

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
# A candidate that fails, a part of the reason that its row gives, and of the line that the command says, if any.
_BAD = (
    ("raises", "ValueError: of its own", None),
    ("unbuildable", "RuntimeError: cannot be built", None),
    ("is-nan", "not a number", None),
    ("allocates", "allocate memory", None),
    ("is-killed", "killed by SIGKILL, as Linux does where memory runs out", "tried again at the end"),
    ("never-ends", "gave no answer in 5 s", "tried again at the end"),
)


def _bound_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))


def _search(round: Round, names: list[str], run: str, *words):
    (round.folder / "faulty_space.py").write_text(_CODE)
    (round.folder / "names.txt").write_text("".join(f"{name}\n" for name in names))
    given = ("--space", "faulty_space.networks", "--architectures", "names.txt", "--batch_size", 16)
    command = (*given, *QUIET, "--run_dir", round.folder / run, *words)
    return round.start("search.py", *command, cwd=round.folder, before=_bound_memory).wait()


def bad_candidate(round: Round, name: str, reason: str, told: str | None, workers: int) -> None:
    """Rank a candidate that fails among others, at a random place; the others are ranked as without it."""
    names = list(_GOOD)
    names.insert(round.rng.randrange(len(names) + 1), name)
    ended = _search(round, names, "run", "--workers", workers, *(("--timeout", 5) if told else ()))
    if told:
        round.expect_told(ended, 0, "warning", told)
    else:
        round.expect_code(ended, 0)
        round.expect(not ended.told, f"more than its row tells: {ended.told}")
    round.expect_code(_search(round, _GOOD, "reference", "--workers", 1), 0)
    row = rows_of(round.folder / "run").get(name, {})
    round.expect(row.get("status") == "failed" and reason in (row.get("reason") or ""), f"its row is {row}")
    ranked, expected = (
        [(row["architecture"], row["score"]) for row in as_dicts(read_ranking(round.folder / run))]
        for run in ("run", "reference")
    )
    round.expect(ranked == [*expected, (name, None)], "the others are not ranked as without it")


FAULTS = [
    Fault(
        f"candidate: {name}, --workers {workers}",
        partial(bad_candidate, name=name, reason=reason, told=told, workers=workers),
        most=2,
    )
    for name, reason, told in _BAD
    for workers in (1, 2)
]
