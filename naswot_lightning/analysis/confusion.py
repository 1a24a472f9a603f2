"""What a trained network takes the test images of each class for: ``test_confusion.csv``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import atomic_write

_FILE = "test_confusion.csv"
_CORNER = "class, as which class"


@dataclass(frozen=True)
class Confusion:
    """Test images of C classes.

    >>> found = Confusion(("cat", "dog"), np.array([[3, 1], [0, 2]]))
    >>> found.accuracies.tolist(), found.most_confused(5)
    ([0.75, 1.0], [('cat', 'dog', 1)])
    """

    classes: Sequence[str]
    counts: np.ndarray
    """(C, C): images of a class (row) that were taken for another (column)."""

    @property
    def accuracies(self) -> np.ndarray:
        """The share of each class that was recognized, (C,); NaN for a class without a test image."""
        images = self.counts.sum(1)
        return np.where(images > 0, self.counts.diagonal() / np.maximum(images, 1), np.nan)

    def most_confused(self, most: int) -> list[tuple[str, str, int]]:
        """Return the class, what it was taken for, and how often, the most frequent first."""
        wrong = self.counts - np.diag(self.counts.diagonal())
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        pairs = zip(*(each.tolist() for each in np.unravel_index(order, wrong.shape)), strict=True)
        return [(self.classes[i], self.classes[j], int(wrong[i, j])) for i, j in pairs if wrong[i, j]]

    def by_class(self, most: int) -> list[tuple[str, int, float]]:
        """Return class, test images and share that was recognized of at most so many classes, the worst first."""
        images, shares = self.counts.sum(1).tolist(), self.accuracies.tolist()
        known = [each for each in zip(self.classes, images, shares, strict=True) if each[1]]
        return sorted(known, key=lambda each: each[2])[:most]

    def write(self, folder: Path) -> None:
        """Write ``test_confusion.csv``: a line per class, a column for what its images were taken for."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow((_CORNER, *self.classes))
        writer.writerows((name, *row) for name, row in zip(self.classes, self.counts.tolist(), strict=True))
        atomic_write(folder / _FILE, text.getvalue())


def read_confusion(folder: Path) -> Confusion | None:
    """Return the confusion of a pick's folder; None where it has none, UserError where its file is damaged."""
    path = folder / _FILE
    try:
        with open(path, newline="", encoding="utf-8") as file:
            (_, *classes), *rows = csv.reader(file)
        counts = np.array([row[1:] for row in rows], dtype=np.int64)
        if counts.shape != (len(classes),) * 2 or (counts < 0).any() or [row[0] for row in rows] != classes:
            raise ValueError("expected a line and a column for each class")
    except FileNotFoundError:
        return None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}): remove it; no other result depends on it") from None
    return Confusion(tuple(classes), counts)
