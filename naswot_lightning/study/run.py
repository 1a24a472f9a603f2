"""From run folders and accuracies to tables, files and a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from naswot_lightning.columns import Criterion
from naswot_lightning.errors import UserError, warn_of_failure
from naswot_lightning.report.figures import save_figure
from naswot_lightning.report.figures.bars import SIZE, VerdictBar, VerdictPanel, draw_verdicts
from naswot_lightning.storage.files import write_csv, write_json
from naswot_lightning.study.accuracies import find_accuracies
from naswot_lightning.study.candidates import Candidates, read_candidates
from naswot_lightning.study.criteria import SIZES, choose, merits, missing_part
from naswot_lightning.study.judged import judge_scores
from naswot_lightning.study.report import COLUMNS, csv_rows, print_study
from naswot_lightning.study.sampling import describe_sampling, note_on_sampling
from naswot_lightning.study.settings import StudyConfig
from naswot_lightning.study.stability import expect_same_candidates, stabilities
from naswot_lightning.study.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def study(config: StudyConfig) -> int:
    """Study a run: print what its accuracies say of each score, and write it.

    Raises:
        UserError: a run folder, a table or a score is at fault; nothing is written then.
    """
    runs = _read_runs(config)
    if config.out is not None and os.path.isfile(config.out):
        raise UserError(f"--out {config.out}: there is a file of that name; choose a folder")
    found = make_study(runs, config)
    print_study(found)
    _write(found, runs[0], config.out)
    return 0


def make_study(runs: list[Candidates], config: StudyConfig) -> Study:
    """Return what accuracies say of the scores of runs of the same candidates.

    Raises:
        UserError: as :func:`study`.
    """
    first, *others = runs
    repeats = first.settings.get("repeats")
    differences = tuple(expect_same_candidates(first, other) for other in others)
    criteria = choose(first, config.score)
    accuracies = find_accuracies(first, config.benchmark, config.benchmark_dataset)
    said = [merits(first, criteria)]
    said += [merits(other, _of_run(other, criteria)) for other in others]
    return Study(
        run=first.name,
        sampling=describe_sampling(first.settings, len(first.rows), len({row.canonical for row in first.rows})),
        note=note_on_sampling(first.settings),
        repeats=repeats if isinstance(repeats, int) else 1,
        further_runs=differences,
        panels=tuple(judge_scores(said[0], each) for each in accuracies),
        stability=tuple(stabilities(runs, said, criteria, accuracies[0])),
    )


def _of_run(run: Candidates, criteria: Sequence[Criterion]) -> list[Criterion]:
    """Return the scores that a run has; sizes are among them."""
    return [each for each in criteria if each.name in SIZES or missing_part(each, run.names) is None]


def _read_runs(config: StudyConfig) -> list[Candidates]:
    paths = [os.path.realpath(path) for path in config.run_dir]
    for place, path in enumerate(paths):
        if path in paths[:place]:
            raise UserError(f"--run_dir {config.run_dir[place]}: it is there twice; give each run folder once")
    return [read_candidates(path) for path in config.run_dir]


def _write(found: Study, run: Candidates, out: str | None) -> None:
    """Write study.csv, study.json and study.png; the lock of the run folder is held where they lie in it."""
    folder = run.folder.path / "study" if out is None else Path(out)
    with run.folder.lock() if out is None else nullcontext():
        write_csv(folder / "study.csv", csv_rows(found), COLUMNS)
        write_json(folder / "study.json", found.to_json())
        written = [folder / "study.csv", folder / "study.json"]
        with warn_of_failure(f"{folder / 'study.png'} cannot be drawn"):
            save_figure(_draw(found), folder / "study.png")
            written.append(folder / "study.png")
    print(", ".join(map(str, written)))


def _draw(found: Study) -> Figure:
    panels = []
    for panel in found.panels:
        bars = [VerdictBar(each.score, each.tau, SIZE if each.is_size else each.outcome) for each in panel.judged]
        size = next(bar.tau.value for bar in bars if bar.score == panel.size)
        panels.append(VerdictPanel(panel.accuracy, panel.n, bars, size))
    return draw_verdicts(panels, f"{found.run}: {found.sampling}; {found.panels[0].source}")
