"""The commands that make a run again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from naswot_lightning.config import SearchConfig, result_settings
from naswot_lightning.report.run import Run, TrainingRun

# A name, and its value in words.
Setting = tuple[str, str]
AGAIN = "runs/again"
_ALWAYS = ("space", "samples", "dataset", "score", "seed")


def settings_of(settings: Mapping[str, Any]) -> tuple[tuple[Setting, ...], tuple[Setting, ...]]:
    """Return the settings of a search that were chosen, and the others; those of a group by ``group.name``."""
    chosen = in_words(dict(_search_options(settings)))
    return tuple(chosen.items()), tuple(each for each in in_words(settings).items() if each[0] not in chosen)


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
    commands = [_joined("search.py", _search_options(run.settings))] if run.settings else []
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
        ranks = sorted({each.planned.rank for each in members if each.planned.rank is not None})
        if ranks:
            commands.append(_joined("train.py", [("picks", ",".join(map(str, ranks))), *options]))
        given = {(each.planned.space, each.planned.architecture) for each in members if each.planned.rank is None}
        for space, architecture in sorted(given):
            commands.append(_joined("train.py", [("space", space), ("architecture", architecture), *options]))
    return tuple(commands)


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
