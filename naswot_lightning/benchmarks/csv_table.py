"""Tables of the user's own, as CSV: one accuracy a line, or one column for each data set, split and recipe."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from naswot_lightning.benchmarks.records import TRAINING, Format, Key, Reading, Record, identity
from naswot_lightning.errors import UserError

ARCHITECTURE = ("architecture", "arch", "arch_str")
NUMBER = "index"
# What a line of the long form says beside its accuracy, and what is meant where it does not.
DATASET, SPLIT, EPOCHS, SEED = "own", "test", 0, 0
_SIZES = ("params", "macs")
_WIDE = re.compile(r"(?P<dataset>\w+)_(?P<split>xvalid|xtest|oritest|valid|validation|test|train)_(?P<epochs>\d+)")
_SPLITS = {"xvalid": "x-valid", "xtest": "x-test", "oritest": "ori-test", "validation": "valid"}
_DATASETS = {"cifar10_valid": "cifar10-valid", "imagenet16_120": "ImageNet16-120"}
_SPACES = {
    "nasbench201": re.compile(r"\|\w+~0\|\+\|.*"),
    "nats_size": re.compile(r"\d+(:\d+){4}"),
    "nasbench101": re.compile(r".*output~[\d,]+"),
}
_LONGEST = 100_000  # characters of a field

_Values = dict[Key, float]
_Read = Callable[[Mapping[str, str]], _Values]


def _recognises(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() == ".csv"


def _read(path: Path, space: str | None) -> Reading:
    rows = _rows(path)
    first = next(rows, None)
    if first is None:
        raise UserError(f"{path} has no rows")
    names = [name for name in ARCHITECTURE if name in first]
    if not names:
        raise UserError(f"{path} has no column {', '.join(ARCHITECTURE)}, but {', '.join(first)}")
    read = _reader(path, list(first))
    space = space or _guess(path, first[names[0]])
    return Reading(path.stem, space, _records(path, names[0], space, read))


def _records(path: Path, column: str, space: str, read: _Read) -> Iterator[Record]:
    largest = 0.0
    repeats: Counter[tuple[str | bytes, Key]] = Counter()
    for line, row in enumerate(_rows(path), start=2):
        try:
            record = _record(row, column, space, read, repeats)
        except ValueError as error:
            raise UserError(f"{path}, line {line}: {error}") from None
        largest = max([largest, *(value for key, value in record.values.items() if key.measure == "accuracy")])
        yield record
    if 0 < largest <= 1:
        raise UserError(f"{path}: no accuracy is above 1; give percent, not shares")


def _record(
    row: Mapping[str, str], column: str, space: str, read: _Read, repeats: Counter[tuple[str | bytes, Key]]
) -> Record:
    architecture = row[column].strip()
    if not architecture or "\n" in architecture:
        raise ValueError(f"expected an architecture on one line, got {architecture[:40]!r}")
    values = read(row)
    _expect_percent(values)
    cell = identity(space, architecture)
    if "seed" not in row:
        values = _numbered(values, cell, repeats)
    return Record(architecture, values, _count(NUMBER, row[NUMBER]) if row.get(NUMBER) else None)


def _numbered(values: _Values, cell: str | bytes, repeats: Counter[tuple[str | bytes, Key]]) -> _Values:
    """Give the values of each line of one architecture a seed of their own: they are repeats."""
    numbered = {}
    for key, value in values.items():
        numbered[key._replace(seed=repeats[cell, key]) if key.measure not in _SIZES else key] = value
        repeats[cell, key] += 1
    return numbered


def _rows(path: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(_LONGEST)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                if None in row or None in row.values():
                    raise UserError(f"{path}, line {reader.line_num}: other fields than columns")
                yield row
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no CSV file in UTF-8: {error}") from None


def _reader(path: Path, columns: Sequence[str]) -> _Read:
    """Return what reads a row: of the long form where there is a column of accuracies, of the wide form otherwise."""
    if "accuracy" in columns:
        return _read_long
    keys = {column: _key(match) for column in columns if (match := _WIDE.fullmatch(column))}
    if not keys:
        raise UserError(
            f"{path} has no accuracies: expected a column accuracy, or columns such as cifar10_xvalid_200, "
            f"not {', '.join(columns)}"
        )

    def read_wide(row: Mapping[str, str]) -> _Values:
        values = {key: _number(column, row[column]) for column, key in keys.items() if row[column].strip()}
        dataset = next(iter(keys.values())).dataset
        return values | _sizes(row, dataset)

    return read_wide


def _key(match: re.Match[str]) -> Key:
    dataset, split, epochs = match["dataset"].lower(), match["split"], int(match["epochs"])
    if (dataset, split) == ("cifar10", "xvalid"):
        dataset = "cifar10_valid"  # trained on all images, none is left to validate
    return Key("accuracy", _DATASETS.get(dataset, dataset), _SPLITS.get(split, split), epochs, 0, epochs)


def _read_long(row: Mapping[str, str]) -> _Values:
    dataset, split = row.get("dataset") or DATASET, row.get("split") or SPLIT
    epochs, seed = (_count(name, row.get(name) or "0") for name in ("epochs", "seed"))
    end = Key("accuracy", dataset, split, epochs, seed, epochs)
    values = {end: _number("accuracy", row["accuracy"])}
    if row.get("loss"):
        values[end._replace(measure="loss")] = _number("loss", row["loss"])
    if row.get("seconds"):
        values[end._replace(measure="seconds", split=TRAINING)] = _number("seconds", row["seconds"])
    return values | _sizes(row, dataset)


def _sizes(row: Mapping[str, str], dataset: str) -> _Values:
    return {
        Key("params" if name == "params" else "macs", dataset): _number(name, row[name])
        for name in _SIZES
        if row.get(name)
    }


def _number(column: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{column} {text[:40]!r}: expected a number") from None


def _count(column: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise ValueError(f"{column} {text[:40]!r}: expected a number from 0")
    return int(text)


def _expect_percent(values: _Values) -> None:
    for key, value in values.items():
        if key.measure == "accuracy" and not 0 <= value <= 100:
            raise ValueError(f"accuracy {value:g}: expected percent, 0 to 100")
        if abs(value) == float("inf"):
            raise ValueError(f"{key.measure} {value:g}: expected a finite number")


def _guess(path: Path, architecture: str) -> str:
    for space, pattern in _SPACES.items():
        if pattern.fullmatch(architecture.strip()):
            return space
    raise UserError(f"{path}: the space of {architecture[:60]!r} cannot be told; name it with --space")


FORMAT = Format("a table of one's own (.csv)", _recognises, _read)
