"""``report.html`` of a run: what stands on it, in one HTML file with style, scripts and data, which loads nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from naswot_lightning.analysis.choosing import table_of
from naswot_lightning.analysis.evidence import tau_in_words
from naswot_lightning.columns import COMBINED, SCORE_INIT, SIZES, VAL_ACC
from naswot_lightning.config import SearchConfig, result_settings
from naswot_lightning.ranking import as_dicts
from naswot_lightning.report.findings import Findings, GroupFindings, describe_trajectory
from naswot_lightning.report.html.tables import Cells, candidates_of, correlation_rows, fronts_of, picks_of, progress_of
from naswot_lightning.report.run import BenchmarkEvidence, Run, TrainingRun
from naswot_lightning.storage.files import atomic_write
from naswot_lightning.storage.run_folder import RunFolder

_HERE = Path(__file__).parent
_STYLES = ("vendor/uPlot.min.css", "page.css")
_LIBRARY = "vendor/uPlot.iife.min.js"
_LICENCE = "vendor/uPlot-LICENSE.txt"
# In an order in which each knows those before it.
SCRIPTS = (
    "format", "elements", "candidates", "cells", "axes", "details", "table", "scatter", "lines", "trainings", "run",
)  # fmt: skip
_MISSING = "–"


def render(template: str, title: str, data: Any = None, **values: Any) -> str:
    """Return a page of a template of ``templates/``, which escapes all texts among the values.

    The scripts of ``assets/`` show the data; a page without data has none.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    style = "\n".join(map(_asset, _STYLES))
    ours = "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    own = f'"use strict";(() => {{\n{ours}\nstartRun(JSON.parse(document.getElementById("data").textContent));\n}})();'
    scripts = [] if data is None else [_asset(_LIBRARY), own]
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.globals |= {
        "percent": lambda share: _MISSING if share is None else f"{100 * share:.2f}",
        "decimal": lambda value: _MISSING if value is None else f"{value:,.2f}",
        # Put into the page as they are.
        "style": Markup(style), "scripts": list(map(Markup, scripts)), "licence": Markup(_asset(_LICENCE)),
        "policy": policy_of(style, scripts),
    }  # fmt: skip
    return environment.get_template(template).render(title=title, data=data, **values)


def policy_of(style: str, scripts: Sequence[str]) -> str:
    """Return a Content-Security-Policy that allows this style and these scripts by their hashes, and no network."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, *scripts)]
    own, *allowed = [f"'sha256-{digest}'" for digest in digests]
    none, rest = "'none'", "img-src data:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {' '.join(allowed) or none}; style-src {own}; {rest}"


@cache
def _asset(name: str) -> str:
    return (_HERE / "assets" / name).read_text(encoding="utf-8").strip()


# A name, and its value in words.
Setting = tuple[str, str]
AGAIN = "runs/again"
_ALWAYS = ("space", "samples", "dataset", "score", "seed")
# Others stand as they are.
_OUTCOMES = {"beats": "yes", "loses": "no"}
_GAINED = {"beat": "yes", "lose to": "no", "cannot be told from": "cannot be told"}
_MOST_REASONS = 20
# That the template calls.
_FUNCTIONS = {"table_of": table_of, "correlation_rows": correlation_rows, "describe_trajectory": describe_trajectory}


@dataclass(frozen=True)
class Fact:
    """A label and what it says, with a note under it."""

    label: str
    value: str
    note: str = ""


def write_report(folder: RunFolder, run: Run, findings: Findings, to: Path | None = None) -> Path:
    """Write the page of a run, which has its rows, to a file or into its folder; return the file."""
    page = Page(run, findings)
    title = f"{run.name} · naswot-lightning"
    html = render("run.html", title, page.to_json(), page=page, **_FUNCTIONS)
    path = to or folder.report
    # The name of a folder need not be Unicode.
    atomic_write(path, html.encode("utf-8", "replace"))
    return path


class Page:
    """What stands on the page of a run; the same for the same files."""

    def __init__(self, run: Run, findings: Findings) -> None:
        self.run, self.search, self.gains, self.front = run, findings.search, findings.gains, findings.front
        # That of its own trainings first, the group with the most networks first of all.
        self.evidence: list[GroupFindings | BenchmarkEvidence] = list(findings.shown)
        if run.benchmark is not None:
            self.evidence.append(run.benchmark)
        self.candidates = candidates_of(run)
        self.progress = progress_of(run.rows, run.criterion)
        self.commands = commands_of(run)
        # The settings of the search that are not the default, or that say the most.
        chosen = in_words(dict(_search_options(run.settings)))
        self.chosen = tuple(chosen.items())
        self.others = tuple(each for each in in_words(run.settings).items() if each[0] not in chosen)
        # Picks first: they are drawn, however many the candidates are.
        self.cells = Cells()
        planned = [each.planned for each in run.trainings]
        of_picks = {each.architecture: self.cells.add(each.space, each.architecture) for each in planned}
        self.picks = picks_of(run, of_picks)
        # Positions of cells, a tuple per row of the table so far as they are drawn.
        space, drawn = str(run.settings.get("space", "")), self.candidates.drawn if self.candidates else ()
        self.drawn = tuple(self.cells.add(space, each) for each in drawn)

    def to_json(self) -> dict[str, Any]:
        """Return what the page's scripts read."""
        return {
            "score": self.score,
            "columns": [vars(column) for column in (self.candidates.columns if self.candidates else ())],
            "words": list(self.cells.words),
            "graphs": list(self.cells.graphs),
            "layouts": self.cells.layouts,
            "drawn": self.drawn,
            "picks": [pick.to_json() for pick in self.picks],
            "progress": self.progress,
            "fronts": fronts_of(self.run, self.candidates),
        }

    @property
    def score(self) -> str:
        """What ranks, in words: a share is shown in percent."""
        criterion = self.run.criterion
        if criterion.parts == (VAL_ACC,):
            return "validation accuracy"
        return criterion.name if criterion.is_relative else criterion.label

    @property
    def headline(self) -> str:
        """What was searched and how, in a sentence."""
        settings, criterion = self.run.settings, self.run.criterion
        if not settings:
            spaces = ", ".join(dict.fromkeys(each.planned.space for each in self.run.trainings))
            return f"Trainings of {spaces or 'no network yet'}, without a search."
        where = settings.get("dataset")
        if settings.get("evaluator") == "table":
            where = f"{settings.get('benchmark_dataset') or where}, as a table knows it"
        algorithm = settings.get("algorithm", "random")
        found = "drawn at random" if algorithm == "random" else f"found by {algorithm}"
        if settings.get("samples") == "all":
            found = "all of the space"
        if settings.get("architectures"):
            found = "from a list"
        how = f"by {self.score}"
        if criterion.is_relative:
            how = f"by the {COMBINED[criterion.combine]} by {', '.join(part.label for part in criterion.parts)}"
        count = f"{self.search.candidates:,} networks" if self.search else "Networks"
        return f"{count} of {settings.get('space')}, {found}, ranked {how} on {where}."

    @property
    def states(self) -> list[str]:
        """What is still under way, and what could not be read, in sentences."""
        run, ranked = self.run, len(self.run.ranking)
        whole = sum(row.fidelity is None for row in run.rows)
        found = []
        if run.provisional:
            found.append(f"The search is not finished: a provisional ranking of the {ranked:,} candidates so far.")
        elif 0 < ranked < whole:
            found.append(f"The ranking holds {ranked:,} of {whole:,} finished candidates: a search is going on.")
        elif run.rows and not ranked:
            done = f"{len(run.rows):,} evaluations so far"
            found.append(f"The search is not finished: no candidate is ranked yet ({done}).")
        elif not ranked and not run.trainings:
            found.append("Nothing is finished yet.")
        counts = Counter(each.status for each in run.trainings if each.result is None)
        if counts:
            parts = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
            found.append(f"{counts.total()} of {len(run.trainings)} trainings have no result yet ({parts}).")
        return found + [each.fault for each in run.trainings if each.fault is not None]

    @property
    def facts(self) -> list[Fact]:
        """The tiles at the head of the page."""
        run, found = self.run, []
        if search := self.search:
            others = [f"{count:,} {status}" for status, count in search.statuses.items() if status != "ok"]
            note = ", ".join([f"{search.networks:,} different networks", *others])
            found.append(Fact("candidates", f"{search.candidates:,}", note))
        first = next(as_dicts(run.ranking.head(1)), None)
        if first is not None and (score := first["score"]) is not None:
            size = "" if first["params"] is None else f"{first['params']:,} parameters"
            if run.criterion.parts == (VAL_ACC,):
                found.append(Fact("best validation accuracy", f"{100 * score:.2f} %", size))
            else:
                found.append(Fact("best score", f"{score:,.2f}" if abs(score) >= 1 else f"{score:.4g}", size))
        if run.trainings:
            found.append(Fact("trainings", f"{len(run.results)}", f"of {len(run.trainings)} begun"))
        # Chosen by validation accuracy, never by the test accuracy that is shown.
        if best := run.best:
            why = "first of the ranking (no validation set to choose by)"
            if best.best_val_acc is not None:
                why = f"best by validation ({100 * best.best_val_acc:.2f} %)"
            which = f"{'given by hand' if best.rank is None else f'rank {best.rank}'}, seed {best.seed}, {best.dataset}"
            found.append(Fact("test accuracy", f"{100 * (best.test_acc or 0.0):.2f} %", f"{why}: {which}"))
        if self.gains:
            gain = self.gains[0]
            found.append(Fact("do picks beat random ones?", _GAINED.get(gain.outcome, gain.outcome), gain.short))
        if self.evidence:
            outcome = self.evidence[0].verdict.outcome
            answer, tau = _OUTCOMES.get(outcome, outcome), self.evidence[0].correlations[SCORE_INIT.name].kendall_tau
            found.append(Fact("does the score beat size?", answer, tau_in_words(tau)))
        return found

    @property
    def failures(self) -> list[tuple[str, str, int]]:
        """Status, reason, and how many candidates have no score for it."""
        failed = ((row.status, row.reason or "no reason given") for row in self.run.rows if row.status != "ok")
        return [(*why, count) for why, count in Counter(failed).most_common(_MOST_REASONS)]

    @property
    def agreement(self) -> list[Fact]:
        """Kendall's tau of the score with each size."""
        agreement = self.search.agreement if self.search else {}
        return [Fact(SIZES[name].label, f"{tau:.3f}") for name, tau in agreement.items() if tau is not None]

    @property
    def versions(self) -> tuple[Setting, ...]:
        """The versions of the libraries that scored and trained; several where they changed in between."""
        found: dict[str, dict[str, None]] = {}
        for versions in (*self.run.versions, *(result.versions for result in self.run.results)):
            for name, version in versions.items():
                found.setdefault(name, {})[version] = None
        # Without those that another one names with its build: 2.4 beside 2.4+cpu.
        return tuple(
            (name, ", ".join(each for each in every if not any(other.startswith(f"{each}+") for other in every)))
            for name, every in sorted(found.items())
        )


def in_words(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return settings as texts, those of a group by ``group.name``.

    >>> in_words({"seed": 0, "wandb": {"mode": "offline"}})
    {'seed': '0', 'wandb.mode': 'offline'}
    """
    found: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= in_words({f"{name}.{inner}": each for inner, each in value.items()})
        else:
            found[name] = value if isinstance(value, str) else json.dumps(value)
    return found


def commands_of(run: Run) -> tuple[str, ...]:
    """Return the command of the search, and one for each kind of trainings, as they are typed in a shell."""
    commands = [_joined("search", _search_options(run.settings))] if run.settings else []
    # One for the ranks that share recipe, data set and seeds, and one for each architecture given.
    kinds: dict[str, list[TrainingRun]] = {}
    for each in run.trainings:
        if each.result is not None:
            planned = each.planned
            kind = json.dumps([planned.dataset, planned.recipe or "", dict(planned.options)], sort_keys=True)
            kinds.setdefault(kind, []).append(each)
    for _, members in sorted(kinds.items()):
        planned = members[0].planned
        recipe = [] if planned.recipe is None else [("recipe", planned.recipe)]
        options: list[tuple[str, Any]] = [("dataset", planned.dataset), *recipe, *planned.options.items()]
        seeds = sorted({each.planned.seed for each in members})
        options.append(("seed", seeds[0]) if len(seeds) == 1 else ("seeds", ",".join(map(str, seeds))))
        ranks = sorted({e.planned.rank for e in members if e.planned.rank is not None and not e.is_control})
        if controls := len({each.planned.rank for each in members if each.is_control}):
            options.append(("controls", controls))
        if ranks:
            commands.append(_joined("train", [("picks", ",".join(map(str, ranks))), *options]))
        given = {(e.planned.space, e.planned.architecture) for e in members if e.planned.rank is None}
        for space, architecture in sorted(given):
            commands.append(_joined("train", [("space", space), ("architecture", architecture), *options]))
    return tuple(commands)


def _joined(command: str, options: Iterable[tuple[str, Any]]) -> str:
    words = ["naswot", command]
    for name, value in options:
        words += [f"--{name}", str(value).lower() if isinstance(value, bool) else str(value)]
    return " ".join(map(_quoted, [*words, "--run_dir", AGAIN]))


def _quoted(word: str) -> str:
    r"""Return a word as a shell takes it; where it holds what cannot be seen, as a line's end, this is written out.

    >>> print(_quoted("a b"), _quoted("a'\n"))
    'a b' $'a\U00000027\U0000000a'
    """
    if word.isprintable():
        return shlex.quote(word)
    plain = (letter if letter.isprintable() and letter not in "\\'" else f"\\U{ord(letter):08x}" for letter in word)
    return f"$'{''.join(plain)}'"


def _search_options(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what differs from the defaults, the space, the data set and the seed always."""
    shown = result_settings(SearchConfig, settings)
    for each in fields(SearchConfig):
        name, default = each.name, each.default if each.default is not MISSING else {}
        value = settings.get(name)
        if name not in shown or (value == default and name not in _ALWAYS):
            continue
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", one) for inner, one in value.items())
        else:
            yield name, value
