"""A study on the terminal, and as the rows of ``study.csv``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from naswot_lightning.analysis.statistics import Estimate
from naswot_lightning.columns import SIZES
from naswot_lightning.console import print_table
from naswot_lightning.study.judged import Judged, Outcome, Panel
from naswot_lightning.study.stability import Stability
from naswot_lightning.study.study import Study

COLUMNS = (
    "accuracy", "source", "n", "score", "unscored", "tau", "tau_low", "tau_high", "size", "less_size", "less_size_low",
    "less_size_high", "partial_tau", "partial_tau_low", "partial_tau_high", "tau_with_size", "outcome",
    "tau_between_runs", "lowest_tau_between_runs", "std_of_repeats",
)  # fmt: skip
_SAID: dict[Outcome, str] = {
    "beats": "Better than plain size ({size}), by an interval that excludes 0",
    "cannot be told apart": "Cannot be told apart from it",
    "loses": "Worse than it",
    "too little evidence": "No interval, for so many equal values",
}
_FORMULA = (
    "given size: Kendall's partial tau (Kendall 1942) of score x and accuracy y given plain size z: "
    "(t_xy - t_xz t_yz) / sqrt((1 - t_xz^2)(1 - t_yz^2))"
)
_EACH = "Each interval is of one score alone: of 20 scores that are as good as size, one is expected to seem otherwise."


def print_study(study: Study) -> None:
    """Print a table for each accuracy, one for the stability, and what they come to in words."""
    for panel in study.panels:
        _print_panel(panel)
    print(_FORMULA)
    _print_stability(study)
    for panel in study.panels:
        print("\n" + conclusion(panel))
        if panel.note is not None:
            print(panel.note)
    print(f"\nThe candidates: {study.sampling}." + ("" if study.note is None else f" {study.note}"))
    print(_EACH)


def conclusion(panel: Panel) -> str:
    """Return in one line which scores rank better than plain size."""
    said = []
    for outcome, words in _SAID.items():
        names = [each.score for each in panel.judged if each.outcome == outcome and not each.is_size]
        if names or outcome == "beats":
            said.append(f"{words.format(size=SIZES[panel.size].label)}: {', '.join(names) or 'none'}.")
    return f"{panel.accuracy}, n = {panel.n:,}. {' '.join(said)}"


def csv_rows(study: Study) -> Iterator[dict[str, object]]:
    """Yield a row for each score and accuracy."""
    stability = {each.score: each for each in study.stability}
    for panel in study.panels:
        for each in panel.judged:
            yield {**_csv_row(panel, each), **_csv_row_of_runs(stability[each.score])}


def _csv_row(panel: Panel, judged: Judged) -> dict[str, object]:
    columns = {"tau": judged.tau, "less_size": judged.less_size, "partial_tau": judged.partial}
    intervals = {
        f"{name}{end}": value
        for name, each in columns.items()
        for end, value in (("", each.value), ("_low", each.low), ("_high", each.high))
    }
    return {
        "accuracy": panel.accuracy, "source": panel.source, "n": panel.n, "score": judged.score,
        "unscored": judged.unscored, "size": panel.size, "tau_with_size": judged.tau_with_size,
        "outcome": _shown_outcome(judged), **intervals,
    }  # fmt: skip


def _csv_row_of_runs(stability: Stability) -> dict[str, object]:
    return {
        "tau_between_runs": stability.between_runs,
        "lowest_tau_between_runs": stability.lowest,
        "std_of_repeats": stability.of_repeats,
    }


def _print_panel(panel: Panel) -> None:
    columns = ("score", "Kendall tau, 95 %", "less that of size", "given size", "with size", "unscored", "beside size")
    print(f"\n{panel.accuracy} ({panel.source}), n = {panel.n:,}; plain size is {SIZES[panel.size].label}")
    print_table("", columns, (_line(each) for each in panel.judged))


def _line(judged: Judged) -> list[object]:
    own = judged.tau, judged.less_size, judged.partial
    return [judged.score, *map(_estimate, own), _tau(judged.tau_with_size), judged.unscored, _shown_outcome(judged)]


def _shown_outcome(judged: Judged) -> str:
    return "plain size" if judged.is_size else judged.outcome


def _print_stability(study: Study) -> None:
    runs, repeated = 1 + len(study.further_runs), study.repeats > 1
    print()
    if runs == 1 and not repeated:
        print(
            "How stable the scores are is not known of one run: give, after it, run folders of the same architectures "
            f"(search.py --architectures {Path(study.run) / 'ranking.csv'} --seed 1)"
        )
        return
    of_repeats = (f"std over {study.repeats} repeats / over candidates",) if repeated else ()
    of_runs = ("tau between runs", *(("lowest",) if runs > 2 else ()), "tau with accuracy in each") if runs > 1 else ()
    print("; ".join(["Stability", *study.further_runs, *([study.panels[0].accuracy] if runs > 1 else [])]))
    rows = ([each.score, *_of_repeats(each, repeated), *_of_runs(each, runs)] for each in study.stability)
    print_table("", ("score", *of_repeats, *of_runs), rows)


def _of_repeats(stability: Stability, repeated: bool) -> list[str]:
    return [_tau(stability.of_repeats)] if repeated else []


def _of_runs(stability: Stability, runs: int) -> list[str]:
    between = [_tau(stability.between_runs), *([_tau(stability.lowest)] if runs > 2 else [])]
    return [*between, ", ".join(map(_tau, stability.taus))] if runs > 1 else []


def _tau(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _estimate(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return _tau(estimate.value)
    return f"{_tau(estimate.value)} [{estimate.low:.3f}, {estimate.high:.3f}]"
