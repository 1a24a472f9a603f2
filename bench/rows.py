"""A million finished candidates: continued, ranked and printed; read by train.py; appended one by one.

Each in a process of its own, whose peak of memory is that of a command: torch is loaded.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from bench.clock import Rows
from naswot_lightning.cli.search import print_summary
from naswot_lightning.columns import Column, Criterion
from naswot_lightning.execution.local import SerialExecutor
from naswot_lightning.ranking import rank, read_ranking, write_ranking
from naswot_lightning.scorer import Evaluation
from naswot_lightning.searching.algorithms.base import Limits
from naswot_lightning.searching.algorithms.random import Listed
from naswot_lightning.searching.loop import Loop
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.storage.score_rows import ScoreRows

ROWS = 1_000_000
SCORES = ("naswot", "jacob_cov", "synflow")
_SPACE, _PROBE = "nds_darts", "0123456789abcdef"
_OPERATIONS = ("sep_conv_3x3", "dil_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "skip_connect", "none")
ANY_SIZE = Limits()


class Free:
    """An evaluator that takes no time: what a search takes with it is its own.

    Args:
        names: of its scores; where there are several, candidates are ranked by the mean of two ranks, too.
    """

    fingerprint = _PROBE

    def __init__(self, names: tuple[str, ...] = SCORES[:1]) -> None:
        self.columns = tuple(Column(name, name) for name in names)
        alone = tuple(Criterion((column,)) for column in self.columns)
        self.criteria = alone if len(names) == 1 else (*alone, Criterion(self.columns[:2]))

    def prepare(self) -> None:
        """Do nothing."""

    def __call__(self, architecture: str) -> Evaluation:
        """Return scores that depend on the architecture alone."""
        score = float(hash(architecture) % 10**6)
        scores = dict.fromkeys((column.name for column in self.columns), score)
        return Evaluation(scores, "ok", None, None, 1, 1, 1, 0.1)


def architectures(count: int) -> Iterator[str]:
    """Yield cells that look as those of NDS, of 50 to 180 characters."""
    rng = random.Random(0)
    nodes = [f"{a}~{i}+{b}~{j}" for a in _OPERATIONS for b in _OPERATIONS for i in range(2) for j in range(3)]
    for number in range(count):
        yield f"C{16 + number % 7}-L{number}|normal:{';'.join(rng.choices(nodes, k=rng.randrange(2, 6)))}"


def write_rows(path: Path, count: int, names: tuple[str, ...]) -> None:
    """Write finished candidates, of which 2 % have no score; a quarter have another network than their own."""
    rng = random.Random(1)
    with open(path, "w") as file:
        for architecture in architectures(count):
            status = rng.choices(("ok", "degenerate", "failed"), (98, 1, 1))[0]
            scores = {name: rng.gauss(1500, 50) if status == "ok" else None for name in names}
            sizes = {"n_units": rng.randrange(10**6), "params": rng.randrange(10**7), "macs": rng.randrange(10**9)}
            row = {
                "space": _SPACE,
                "architecture": architecture,
                "canonical": architecture.replace("none~0+", "", 1),
                "score": scores[names[0]],
                "scores": scores,
                **sizes,
                "seed": 0,
                "probe": _PROBE,
                "seconds": round(rng.random(), 6),
                "status": status,
                "reason": None if status == "ok" else f"{names[0]}: the network gives different images the same code",
            }
            file.write(json.dumps(row) + "\n")


class Spent(NamedTuple):
    """Seconds of the clock, and of a core: on a machine that does other work, the second tells more."""

    clock: float
    core: float


Steps = dict[str, Spent]


def _clocked(work: Callable[[], Any], steps: Steps, name: str) -> Any:
    clock, core = time.perf_counter(), time.process_time()
    result = work()
    steps[name] = Spent(time.perf_counter() - clock, time.process_time() - core)
    return result


def resume(folder: Path) -> Steps:
    """Continue a search of which nothing is left to score; return what each step has spent."""
    with open(folder / "scores.jsonl") as lines:
        proposed = [json.loads(line)["architecture"] for line in lines]
    steps: Steps = {}
    with _clocked(lambda: ScoreRows(folder / "scores.jsonl"), steps, "open and check") as finished:
        evaluator = Free(tuple(finished.rows[0].scores))

        def replay() -> Any:
            loop = Loop(_SPACE, str, evaluator, SerialExecutor(), 0, finished)
            return loop.run(Listed(proposed, ANY_SIZE), proposed)

        rows = _clocked(replay, steps, "find each candidate's row")
    ranking = _clocked(lambda: rank(rows, evaluator.criteria), steps, "rank")
    _clocked(lambda: write_ranking(folder, ranking), steps, "write ranking.json and ranking.csv")
    space = SimpleNamespace(name=_SPACE, evidence="")
    shown: Any = SimpleNamespace(
        config=SimpleNamespace(top=10, dataset="digits"),
        criteria=evaluator.criteria,
        objectives=(),
        space=space,
        folder=RunFolder(folder),
    )
    with redirect_stdout(StringIO()):
        _clocked(lambda: print_summary(shown, ranking, rows), steps, "print the table")
    return steps


def read(folder: Path) -> Steps:
    """Read the ranking, as ``train.py`` does; return what it has spent."""
    steps: Steps = {}
    _clocked(lambda: read_ranking(folder), steps, "read the ranking, as train.py")
    return steps


def append(folder: Path) -> Steps:
    """Score as many candidates as the folder has, with an evaluator that takes no time."""
    with open(folder / "scores.jsonl", "rb") as file:
        proposed = list(architectures(sum(1 for _ in file)))
    steps: Steps = {}
    with ScoreRows(folder / "appended.jsonl") as finished:
        loop = Loop(_SPACE, str, Free(), SerialExecutor(), 0, finished)
        _clocked(lambda: loop.run(Listed(proposed, ANY_SIZE), proposed), steps, "take and append a result")
    return steps


def _peak() -> float:
    """Return the most memory that this process has held, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def apart(step: Callable[[Path], Steps], folder: Path) -> tuple[Steps, float]:
    """Return what a step has spent, and the peak of memory in MB, in a process of its own."""
    command = [sys.executable, "-m", "bench.rows", step.__name__, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    steps, peak = json.loads(done.stdout)
    return {name: Spent(*each) for name, each in steps.items()}, peak


def row_rows(count: int = ROWS) -> Rows:
    """Return what each step has spent, and the peaks of memory, with one score and with three."""
    if not Path("/proc/self/status").exists():
        return [("rows", "-", "measured on Linux only")]
    rows: Rows = []
    for names in (SCORES[:1], SCORES):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_rows(folder / "scores.jsonl", count, names)
            rows += _of_folder(folder, count, f"{len(names)} score{'s' * (len(names) > 1)}")
    return rows


def _of_folder(folder: Path, count: int, scores: str) -> Rows:
    steps, peak = apart(resume, folder)
    total = Spent(*(sum(each) for each in zip(*steps.values(), strict=True)))
    rows = [(name, f"{spent.clock:.1f} s", f"{spent.core:.1f} s of a core") for name, spent in steps.items()]
    rows.append((f"{count:,} rows, {scores}: together", f"{total.clock:.1f} s", _note(total, peak)))
    for step in (read, append):
        steps, peak = apart(step, folder)
        rows += [(name, f"{spent.clock:.1f} s", _note(spent, peak)) for name, spent in steps.items()]
    sizes = {path.name: path.stat().st_size / count for path in sorted(folder.iterdir())}
    on_disk = ", ".join(f"{name} {sizes[name]:.0f}" for name in ("scores.jsonl", "ranking.json", "ranking.csv"))
    return [*rows, ("bytes a row on disk", f"{sum(sizes.values()) - sizes['appended.jsonl']:.0f}", on_disk)]


def _note(spent: Spent, peak: float) -> str:
    return f"{spent.core:.1f} s of a core, peak {peak:,.0f} MB"


if __name__ == "__main__":
    import torch  # noqa: F401 - as in a command

    _STEPS = {step.__name__: step for step in (resume, read, append)}
    print(json.dumps([_STEPS[sys.argv[1]](Path(sys.argv[2])), _peak()]))
