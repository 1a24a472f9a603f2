"""The formats that can be converted or opened: each a file of this folder that says what it recognises and reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from naswot_lightning.benchmarks.official import expect_present
from naswot_lightning.benchmarks.records import Reading
from naswot_lightning.errors import UserError

# The registry, in the order in which they are asked: a name, and where its Format is.
FORMATS = {
    "csv": "naswot_lightning.benchmarks.csv_table:FORMAT",
    "nasbench201": "naswot_lightning.benchmarks.nasbench201:FORMAT",
    "nats": "naswot_lightning.benchmarks.nats:FORMAT",
    "nasbench101": "naswot_lightning.benchmarks.nasbench101:FORMAT",
    "nds": "naswot_lightning.benchmarks.nds:FORMAT",
}


@dataclass(frozen=True)
class Format:
    """A format of files.

    Attributes:
        title: what it is, in words.
        recognises: whether a path is of this format, by its name and first bytes.
        read: begins to read a file; the name of the space is the user's, None where the file must tell. Raises
            UserError where it is damaged or carries code.
    """

    title: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, str | None], Reading]


def find_format(path: Path) -> tuple[str, Format]:
    """Return the name of the format of a file or folder, and the format.

    Raises:
        UserError: there is no such file, or it is of none of the formats.
    """
    expect_present(path)
    found = {name: _format(place) for name, place in FORMATS.items()}
    for name, each in found.items():
        if each.recognises(path):
            return name, each
    titles = "; ".join(each.title for each in found.values())
    raise UserError(f"{path} is none of the files that are known: {titles}")


def _format(place: str) -> Format:
    module, _, attribute = place.partition(":")
    found: Format = getattr(import_module(module), attribute)
    return found
