"""How the candidates of a run were found, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from naswot_lightning.console import format_cell


def describe_sampling(settings: Mapping[str, Any], n: int, networks: int) -> str:
    """Return how n candidates were found, and how many different networks they are.

    Networks that are equal have one score. Where they also share an accuracy, as in NAS-Bench-101, they are one
    observation, and an interval over n candidates is too narrow.

    >>> describe_sampling({"space": "nasbench201", "algorithm": "random", "samples": 1000, "seed": 0}, 1000, 812)
    '1,000 architectures (812 different networks) of nasbench201, drawn at random (seed 0)'
    """
    different = f" ({networks:,} different networks)" if networks < n else ""
    return f"{n:,} architectures{different} of {settings.get('space')}, {_found(settings)}{_limits(settings)}"


def note_on_sampling(settings: Mapping[str, Any]) -> str | None:
    """Return a warning where an algorithm chose the candidates by what it saw of them, else None."""
    if settings.get("architectures") is not None or settings.get("algorithm") == "random":
        return None
    return (
        f"The candidates were proposed by {settings.get('algorithm')}, which looks for good ones: their taus are not "
        "those of the space (restricted range); --algorithm random draws a sample of it."
    )


def _found(settings: Mapping[str, Any]) -> str:
    if settings.get("architectures") is not None:
        return f"those of {settings['architectures']}"
    if settings.get("samples") == "all":
        return "all of it"
    how = "drawn at random" if settings.get("algorithm") == "random" else f"proposed by {settings.get('algorithm')}"
    return f"{how} (seed {settings.get('seed')})"


def _limits(settings: Mapping[str, Any]) -> str:
    limits = {"max_params": "parameters", "max_macs": "MACs"}
    said = [
        f"at most {format_cell(settings[name])} {label}"
        for name, label in limits.items()
        if settings.get(name) is not None
    ]
    part = [f"shard {settings['shard']}"] if settings.get("shard") is not None else []
    return "".join(f", {each}" for each in (*said, *part))
