"""Scores by their names, and what candidates are ranked by: one score, or the ranks by several put together."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import cast, get_args

import torch
from torch import Tensor, nn

from naswot_lightning.columns import Column, Combination, Criterion
from naswot_lightning.errors import UserError
from naswot_lightning.logits import tensors_of
from naswot_lightning.naswot import Units
from naswot_lightning.naswot.isolation import isolated
from naswot_lightning.naswot.naswot import expect_tensor
from naswot_lightning.registry import resolve
from naswot_lightning.scores import AGGREGATES, SCORES
from naswot_lightning.scores.base import REGISTERED, Measured, ObserverType, Probe, Score

for _family in dict.fromkeys(SCORES.values()):
    import_module(f"naswot_lightning.scores.{_family}")

__all__ = ["REGISTERED", "compute_scores", "get_score", "observers_of", "parse_scores", "probe_of", "require_labels"]


def get_score(name: str) -> Score:
    """Return the score of that name, or of a function's import path (:func:`~naswot_lightning.registry.resolve`).

    An unknown one is a :class:`UserError` with the names and the nearest one.

    >>> get_score("snip").source
    'Lee et al. 2019; Abdelfattah et al. 2021'
    """
    if name in REGISTERED:
        return REGISTERED[name]
    if name in AGGREGATES:
        raise UserError(f"score {name}: it puts the ranks by several scores together; it is no score of one network")
    function = resolve("score", name, [*REGISTERED, *AGGREGATES])
    plain = Score(name, function, source=function.__module__, cost="unknown")
    known = next((each for each in REGISTERED.values() if each.function is function), plain)
    # Files know it by the name that another process finds it by.
    return replace(known, name=name)


def compute_scores(
    network: nn.Module, probe: Probe, names: Sequence[str], units: Units = "rectifiers"
) -> dict[str, float]:
    """Return several scores of one network, those of one forward pass or of one backward pass from the same.

    >>> from naswot_lightning.data.probe import load_probe
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 8), nn.ReLU(), nn.Linear(8, 10))
    >>> compute_scores(network, load_probe("noise", "", batch_size=16, seed=0), ["params", "rectified_units"])
    {'params': 24674.0, 'rectified_units': 8.0}
    """
    scores = [get_score(name) for name in names]
    measured = Measured(network, probe, observers=observers_of(scores), units=units)
    found = {}
    for score in scores:
        with score.threads():
            found[score.name] = float(score.function(measured))
    if (kernel := vars(measured).get("kernel")) is not None and kernel.blind_spot is not None:
        warnings.warn(kernel.blind_spot, stacklevel=2)
    return found


def require_labels(names: Sequence[str], labels: Tensor | None) -> None:
    """Raise :class:`UserError` where a score is unknown, or looks at a loss and there are no labels."""
    needing = [name for name in names if get_score(name).needs_labels]
    if labels is None and needing:
        raise UserError(f"{', '.join(needing)}: the loss needs labels; give labels=, (N,) class indices")


def probe_of(
    network: nn.Module, images: Tensor, labels: Tensor | None, scores: Sequence[str], num_classes: int | None = None
) -> Probe:
    """Return a mini-batch (N, ...) of one's own for :func:`compute_scores`, as many classes as the network tells.

    Raises:
        TypeError: the images are no tensor.
        UserError: a score needs labels where there are none, or they are no class indices, or the network does not tell
            which are its logits.
    """
    expect_tensor(images)
    require_labels(scores, labels)
    if labels is not None:
        labels = torch.as_tensor(labels)
        if labels.shape != images.shape[:1] or labels.is_floating_point():
            found = f"{labels.dtype} of shape {tuple(labels.shape)}".removeprefix("torch.")
            raise UserError(f"labels are {found}: expected a class index for each of the {len(images)} images")
    digest = hashlib.sha256(images.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()[:16]
    classes = torch.zeros(len(images), dtype=torch.int64) if labels is None else labels
    count = num_classes or _count_classes(network, images)
    return Probe(images, classes.to(images.device), count, images.shape[-1], digest)


def _count_classes(network: nn.Module, images: Tensor) -> int:
    with isolated(network, images.device), torch.no_grad():
        found = tensors_of(network(images[:2].clone()))
    widths = {tensor.flatten(1).shape[1] for tensor in found if len(tensor) == 2}
    if len(widths) != 1:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in found) or "no tensor"
        raise UserError(f"the network returns {shapes} for two images: say which are the logits by num_classes=")
    return widths.pop()


def observers_of(scores: Iterable[Score]) -> list[ObserverType]:
    """Return what these scores observe the forward pass with, each once, for :class:`Measured`."""
    return list(dict.fromkeys(observer for score in scores for observer in score.observers))


def parse_scores(text: str, saved: bool = False) -> list[Criterion]:
    """Read what to rank by: columns separated by ",", each one score or several joined by "+".

    Of a ``saved`` text, own code that is not trusted, or not here, is not needed: a column of its name, higher is
    better.

    >>> [criterion.name for criterion in parse_scores("naswot, jacob_cov+params, jacob_cov+params:mean_rank")]
    ['naswot', 'jacob_cov+params', 'jacob_cov+params:mean_rank']
    """
    criteria = [_parse(column.strip(), text, saved) for column in text.split(",")]
    seen: set[object] = set()
    for criterion in criteria:
        key = frozenset(part.name for part in criterion.parts), criterion.combine
        if len(key[0]) < len(criterion.parts) or key in seen:
            raise UserError(f"score {text!r}: {criterion.name} repeats a name or a column; write each once")
        seen.add(key)
    return criteria


def _parse(column: str, text: str, saved: bool) -> Criterion:
    if column in AGGREGATES:
        return Criterion(tuple(REGISTERED[name].column for name in AGGREGATES[column]), title=column)
    joined, colon, combine = (part.strip() for part in column.partition(":"))
    names = [name.strip() for name in joined.split("+")]
    for name in names:
        if not name:
            raise UserError(f"score {text!r}: a name is missing; write e.g. naswot or naswot,jacob_cov+params")
        if name in AGGREGATES:
            raise UserError(f"score {text!r}: {name} puts the ranks by several scores together; write it alone")
    parts = tuple(_column(name, saved) for name in names)
    if not colon:
        return Criterion(parts)
    if len(names) == 1:
        raise UserError(f"score {text!r}: {combine!r} is for the ranks by several scores, such as jacob_cov+params")
    if combine not in get_args(Combination):
        raise UserError(f"score {text!r}: {combine!r}: expected one of {', '.join(get_args(Combination))}")
    return Criterion(parts, cast(Combination, combine))


def _column(name: str, saved: bool) -> Column:
    try:
        return get_score(name).column
    except UserError:
        if not saved or "." not in name:
            raise
        return Column(name, name.rpartition(".")[2])
