"""Which data set's mini-batch scores the networks whose accuracies on some data set are looked at."""

from __future__ import annotations

from collections.abc import Sequence


def images_of(given: Sequence[str], dataset: str) -> str:
    """Return the data set of ``--dataset`` that is the same, with or without ``-valid``; the first where none is.

    >>> images_of(["cifar10-valid", "cifar100"], "cifar100"), images_of(["cifar10-valid", "cifar100"], "cifar10")
    ('cifar100', 'cifar10-valid')
    >>> images_of(["imagefolder"], "cifar100")
    'imagefolder'
    """
    wanted = dataset.lower().removesuffix("-valid")
    return next((each for each in given if each.removesuffix("-valid") == wanted), given[0])
