"""The commands that make a run again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from naswot_lightning.config import SearchConfig, result_settings
from naswot_lightning.report.run import Run, TrainingRun

Setting = tuple[str, str]  # name, value in words
AGAIN = "runs/again"
_ALWAYS = ("space", "samples", "dataset", "score", "seed")


def settings_of(settings: Mapping[str, Any]) -> tuple[tuple[Setting, ...], tuple[Setting, ...]]:
    """Return the settings of a search that were chosen, and the others; those of a group by ``group.name``."""
    chosen = dict(_search_options(settings))
    others: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            others |= {f"{name}.{inner}": each for inner, each in value.items()}
        else:
            others[name] = value

    def told(options: Mapping[str, Any]) -> tuple[Setting, ...]:
        return tuple((name, each if isinstance(each, str) else json.dumps(each)) for name, each in options.items())

    return told(chosen), told({name: value for name, value in others.items() if name not in chosen})


def commands_of(run: Run) -> tuple[str, ...]:
    """Return the command of the search, and one for each kind of trainings, as they are typed in a shell."""
    search = (_joined("search.py", _search_options(run.settings)),) if run.settings else ()
    return (*search, *_trainings(run.trainings))


def _joined(script: str, options: Iterable[tuple[str, Any]]) -> str:
    words = ["python", script]
    for name, value in options:
        words += [f"--{name}", str(value).lower() if isinstance(value, bool) else str(value)]
    return " ".join(map(_quoted, [*words, "--run_dir", AGAIN]))


def _quoted(word: str) -> str:
    r"""Return a word as a shell takes it; what cannot be seen, as a line's end, is written out.

    >>> print(_quoted("a b"), _quoted("a\nb"))
    'a b' $'a\nb'
    """
    if word.isprintable():
        return shlex.quote(word)
    escaped = ""
    for letter in word:
        if letter in "\\'":
            escaped += f"\\{letter}"
        elif letter.isprintable():
            escaped += letter
        else:
            escaped += repr(letter)[1:-1] if letter < "\x80" else f"\\U{ord(letter):08x}"
    return f"$'{escaped}'"


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


def _trainings(trainings: Sequence[TrainingRun]) -> Iterator[str]:
    """Yield a command for the ranks that share recipe, data set and seeds, and one for each architecture given."""
    kinds: dict[str, list[TrainingRun]] = {}
    for each in trainings:
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
        ranks = sorted({each.planned.rank for each in members if each.planned.rank is not None})
        if ranks:
            yield _joined("train.py", [("picks", ",".join(map(str, ranks))), *options])
        given = {(each.planned.space, each.planned.architecture) for each in members if each.planned.rank is None}
        for space, architecture in sorted(given):
            yield _joined("train.py", [("space", space), ("architecture", architecture), *options])
