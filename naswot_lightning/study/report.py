"""A study: from run folders and accuracies to tables on the terminal, files and a figure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from naswot_lightning.analysis.choosing import DRAWS
from naswot_lightning.analysis.evidence import Outcome, describe_needed, detectable, networks_needed
from naswot_lightning.analysis.statistics import Estimate
from naswot_lightning.columns import SIZES
from naswot_lightning.console import print_table
from naswot_lightning.errors import UserError
from naswot_lightning.report.compare import print_choices
from naswot_lightning.report.figures import style, write_results
from naswot_lightning.report.figures.bars import ends_of
from naswot_lightning.storage.files import write_json
from naswot_lightning.study.assessment import SIZE, AccuracyPanel, Study, make_study
from naswot_lightning.study.candidates import Candidates, read_candidates
from naswot_lightning.study.settings import StudyConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SAID: dict[Outcome, str] = {
    "beats": "Better than model size ({size}), with an interval that excludes 0",
    "cannot be told apart": "Not distinguishable from model size",
    "loses": "Worse than model size",
    "too little evidence": "No interval (too many equal values)",
}
# Undecided scores whose networks needed are said; study.csv has all.
_NAMED = 3
_FORMULA = (
    "given size: Kendall's partial tau (Kendall 1942) between score x and accuracy y given model size z: "
    "(t_xy - t_xz t_yz) / sqrt((1 - t_xz^2)(1 - t_yz^2))"
)
_EACH = "Intervals are not corrected for several scores: of 20 scores as good as size, expect one to look different."


def study(config: StudyConfig) -> int:
    """Study a run: print what its accuracies say of each score, and write it.

    Raises:
        UserError: a run folder, a table or a score cannot be used; nothing is written then.
    """
    paths = [os.path.realpath(path) for path in config.run_dir]
    for number, path in enumerate(paths):
        if path in paths[:number]:
            raise UserError(f"--run_dir {config.run_dir[number]}: given twice; give each run folder once")
    runs = [read_candidates(path) for path in config.run_dir]
    if config.out is not None and os.path.isfile(config.out):
        raise UserError(f"--out {config.out}: expected a folder, but this is a file; choose another name")
    found = make_study(runs, config)
    print_study(found)
    write_study(found, runs[0], config.out)
    return 0


def print_study(found: Study) -> None:
    """Print a table for each accuracy, one for the stability, and what they come to in words."""
    columns = ("score", "Kendall tau, 95 %", "less that of size", "given size", "with size", "unscored", "beside size")
    for panel in found.panels:
        print(f"\n{panel.accuracy} ({panel.source}), n = {panel.n:,}; model size is {SIZES[panel.size].label}")
        lines = (
            (each.score, *map(_tau, (each.tau, each.less_size, each.partial, each.tau_with_size)),
             each.unscored, each.verdict)
            for each in panel.judged
        )  # fmt: skip
        print_table("", columns, lines)
        if panel.choices:
            print_choices(panel.choices, "")
    print(_FORMULA + "\n")
    _print_stability(found)
    for panel in found.panels:
        print("\n" + conclude(panel))
        if power := say_power(panel):
            print(power)
        if panel.note is not None:
            print(panel.note)
    print(f"\nThe candidates: {found.sampling}." + ("" if found.note is None else f" {found.note}"))
    print(_EACH)


def conclude(panel: AccuracyPanel) -> str:
    """Return in one line which scores rank better than model size."""
    said = []
    for outcome, words in _SAID.items():
        names = [each.score for each in panel.judged if each.outcome == outcome and each.verdict != SIZE]
        if names or outcome == "beats":
            said.append(f"{words.format(size=SIZES[panel.size].label)}: {', '.join(names) or 'none'}.")
    return f"{panel.accuracy}, n = {panel.n:,}. {' '.join(said)}"


def say_power(panel: AccuracyPanel) -> str:
    """Return in one line what difference to model size these networks show, and how many the undecided scores need."""
    judged = [each for each in panel.judged if each.verdict != SIZE]
    least = sorted(value for each in judged if (value := detectable(each.less_size)))
    if not least:
        return ""
    span = f"{least[0]:.2f}" if len(least) == 1 else f"{least[0]:.2f} to {least[-1]:.2f} (depending on the score)"
    said = f"{panel.n:,} networks can detect a true difference from model size of {span} or more (80 % power)."
    needed = [
        f"{each.score} ({each.less_size.value:+.2f}) {describe_needed(each.less_size)}"
        for each in judged
        if each.outcome == "cannot be told apart"
    ]
    more = ", ..." if len(needed) > _NAMED else ""
    return f"{said} Networks needed: {', '.join(needed[:_NAMED])}{more}." if needed else said


def _print_stability(found: Study) -> None:
    runs = 1 + len(found.further_runs)
    if runs == 1 and found.repeats == 1:
        print(
            "One run does not tell how stable the scores are: add run folders with the same architectures to --run_dir "
            f"(naswot search --architectures {Path(found.run) / 'ranking.csv'} --seed 1)"
        )
        return
    print("; ".join(["Stability", *found.further_runs, *([found.panels[0].accuracy] if runs > 1 else [])]))
    head = f"std over {found.repeats} repeats / over candidates"
    lines = (
        (each.score, *map(_tau, (each.of_repeats, each.between_runs)), ", ".join(map(_tau, each.taus)))
        for each in found.stability
    )
    print_table("", ("score", head, "tau between runs", "tau with accuracy in each"), lines)


def _tau(value: Estimate | float | None) -> str:
    defined = value.value if isinstance(value, Estimate) else value
    return "-" if defined is None else f"{value:.3f}"


def write_study(found: Study, run: Candidates, out: str | None) -> None:
    """Write study.csv, study.json and study.png; the lock of the run folder is held where they lie in it."""
    folder = run.folder.path / "study" if out is None else Path(out)
    # In the run folder, no other command may begin anew meanwhile.
    with run.folder.lock() if out is None else nullcontext():
        write_json(folder / "study.json", found.to_json())
        write_results(folder / "study", list(_csv_rows(found)), lambda: draw_study(found))


def _csv_rows(found: Study) -> Iterator[dict[str, object]]:
    """Yield a row for each score and accuracy, in the order of the columns."""
    stability = {each.score: each for each in found.stability}
    for panel in found.panels:
        for each in panel.judged:
            gain, stable, choice = each.less_size, stability[each.score], panel.choices.get(each.score)
            row: dict[str, object] = {
                "accuracy": panel.accuracy, "source": panel.source, "n": panel.n, "score": each.score,
                "unscored": each.unscored, **_cells("tau", each.tau), "size": panel.size, **_cells("less_size", gain),
                "shows_from": detectable(gain), "networks_needed": networks_needed(gain),
                **_cells("partial_tau", each.partial), "tau_with_size": each.tau_with_size, "outcome": each.verdict,
                "tau_between_runs": stable.between_runs, "std_of_repeats": stable.of_repeats,
            }  # fmt: skip
            for draws in DRAWS:
                row |= _cells(f"regret_{draws}", choice.regret.get(draws) if choice else None)
            row |= _cells("top_found", choice.top_found if choice else None)
            yield row | _cells("ndcg", choice.ndcg if choice else None)


def _cells(name: str, found: Estimate | None) -> dict[str, object]:
    """Return the columns of a value and its interval; None where it is not known."""
    values = (None, None, None) if found is None else (found.value, found.low, found.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


# Of a small title, in the width of a panel.
_LETTERS = 44
# Of a score against model size: colour, what the legend says.
_VERDICTS = {
    "beats": ("#2a788e", "better than size"), "cannot be told apart": ("#9fb8c4", "not to be told apart from size"),
    "loses": ("#c46a4a", "worse than size"), "too little evidence": ("#dddddd", "no interval"), SIZE: ("0.35", SIZE),
}  # fmt: skip


def draw_study(found: Study) -> Figure:
    """Draw a panel per accuracy with a bar per score, and a line where model size is."""
    from matplotlib.patches import Patch

    panels = found.panels
    order = [each.score for each in panels[0].judged]
    figure, axes = style.grid(len(panels), (4.0, 1.5 + 0.27 * len(order)), sharey=True)
    for axis, panel in zip(axes, panels, strict=True):
        for each in panel.judged:
            tau, place = each.tau, order.index(each.score)
            if tau.value is None:
                continue
            axis.barh([place], [tau.value], 0.75, color=_VERDICTS[each.verdict][0])
            if (ends := ends_of(tau)) is not None:
                axis.errorbar([tau.value], [place], xerr=ends, color="0.1", elinewidth=1, capsize=2)
            if each.score == panel.size:
                axis.axvline(tau.value, color=_VERDICTS[SIZE][0], linestyle="--", linewidth=1)
        axis.axvline(0.0, color="0.2", linewidth=0.8)
        axis.set_yticks(range(len(order)), [style.plain(name) for name in order], fontsize="small")
        # The best above.
        axis.set_ylim(len(order) - 0.4, -0.6)
        axis.set_xlabel("Kendall tau, 95 % interval")
        axis.set_title(f"{style.wrapped(panel.accuracy, _LETTERS)}\nn = {panel.n:,}", fontsize="small")
        axis.grid(axis="x", alpha=0.3)
    title = f"{found.run}: {found.sampling}; {panels[0].source}"
    figure.suptitle(style.wrapped(title, _LETTERS * (1 + min(len(panels), style.ACROSS))), fontsize="medium")
    there = {each.verdict for panel in panels for each in panel.judged}
    handles = [Patch(color=color, label=label) for name, (color, label) in _VERDICTS.items() if name in there]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize="small")
    return figure
