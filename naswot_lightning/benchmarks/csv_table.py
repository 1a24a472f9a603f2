"""Tables of the user's own, as CSV: one accuracy per line, or one column for each data set, split and recipe.

Any other column of numbers, such as the latency on a device, is kept by its name.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from naswot_lightning.benchmarks.table import MEASURES, TRAINING, Format, Key, Reading, Record, identity
from naswot_lightning.errors import UserError

ARCHITECTURE = ("architecture", "arch", "arch_str")
NUMBER = "index"
# What is meant where a line of the long form does not say.
DATASET, SPLIT = "own", "test"
_SIZES = ("params", "macs")
_WIDE = re.compile(r"(?P<dataset>\w+)_(?P<split>xvalid|xtest|oritest|valid|validation|test|train)_(?P<epochs>\d+)")
_SPLITS = {"xvalid": "x-valid", "xtest": "x-test", "oritest": "ori-test", "validation": "valid"}
_DATASETS = {"cifar10_valid": "cifar10-valid", "imagenet16_120": "ImageNet16-120"}
_SPACES = {
    "nasbench201": re.compile(r"\|\w+~0\|\+\|.*"),
    "nats_size": re.compile(r"\d+(:\d+){4}"),
    "nasbench101": re.compile(r".*output~[\d,]+"),
    "nasbench_macro": re.compile(r"[012]{8}"),
}
# Characters of a field.
_LONGEST = 100_000
ENDINGS = (".csv.gz", ".csv")
_KNOWN = (*ARCHITECTURE, NUMBER, *MEASURES, "dataset", "split", "epochs", "seed")


class _Csv(Format):
    title = "a table of one's own (.csv, .csv.gz)"

    def recognises(self, path: Path) -> bool:
        return path.is_file() and path.name.lower().endswith(ENDINGS)

    def read(self, path: Path, space: str | None) -> Reading:
        first = next(_rows(path), None)
        if first is None:
            raise UserError(f"{path} has no rows")
        column = next((name for name in ARCHITECTURE if name in first), None)
        if column is None:
            raise UserError(f"{path}: expected a column {' or '.join(ARCHITECTURE)}, found {', '.join(first)}")
        wide = {}
        for match in filter(None, map(_WIDE.fullmatch, first)):
            dataset, split, epochs = match["dataset"].lower(), match["split"], int(match["epochs"])
            # Trained on all images, none is left to validate.
            if (dataset, split) == ("cifar10", "xvalid"):
                dataset = "cifar10_valid"
            dataset, split = _DATASETS.get(dataset, dataset), _SPLITS.get(split, split)
            wide[match[0]] = Key("accuracy", dataset, split, epochs, 0, epochs)
        further = [name for name in first if name not in (*_KNOWN, *wide) and _is_number(first[name])]
        if "accuracy" not in first and not wide and not further:
            wanted = "expected a column accuracy, columns such as cifar10_xvalid_200, or other numeric columns"
            raise UserError(f"{path} has no accuracies: {wanted}, found {', '.join(first)}")
        text = first[column].strip()
        space = space or next((name for name, pattern in _SPACES.items() if pattern.fullmatch(text)), None)
        if space is None:
            raise UserError(f"{path}: cannot tell which search space {text[:60]!r} belongs to; name it with --space")
        name = path.name[: -next(len(each) for each in ENDINGS if path.name.lower().endswith(each))]
        return Reading(name, space, _records(path, column, space, wide, further))


FORMAT = _Csv()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rows(path: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(_LONGEST)
    try:
        opener = gzip.open if path.suffix.lower() == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                if None in row or None in row.values():
                    raise UserError(f"{path}, line {reader.line_num}: the number of fields differs from the header")
                yield row
    except (csv.Error, UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is not a UTF-8 CSV file: {error}") from None


def _records(
    path: Path, column: str, space: str, wide: Mapping[str, Key], further: Collection[str]
) -> Iterator[Record]:
    largest = 0.0
    repeats: Counter[tuple[str | bytes, Key]] = Counter()
    for line, row in enumerate(_rows(path), start=2):
        try:
            architecture = row[column].strip()
            if not architecture or "\n" in architecture:
                raise ValueError(f"expected an architecture on one line, got {architecture[:40]!r}")
            cell, values = identity(space, architecture), _values_of(row, wide, further)
            if "seed" not in row:
                # Each line of one architecture is a repeat, with a seed of its own; its sizes have none.
                seeds = {key: 0 if key.measure in _SIZES else repeats[cell, key] for key in values}
                repeats.update((cell, key) for key in values)
                values = {key._replace(seed=seeds[key]): value for key, value in values.items()}
            number = _count(NUMBER, row[NUMBER]) if row.get(NUMBER) else None
        except ValueError as error:
            raise UserError(f"{path}, line {line}: {error}") from None
        largest = max([largest, *(value for key, value in values.items() if key.measure == "accuracy")])
        yield Record(architecture, values, number)
    if 0 < largest <= 1:
        raise UserError(f"{path}: no accuracy is above 1; give percentages (0 to 100), not fractions")


def _values_of(row: Mapping[str, str], wide: Mapping[str, Key], further: Collection[str]) -> dict[Key, float]:
    """Return what a row says: of the long form where there is a column of accuracies, of the wide form otherwise."""
    if "accuracy" in row:
        dataset, split = row.get("dataset") or DATASET, row.get("split") or SPLIT
        epochs, seed = (_count(name, row.get(name) or "0") for name in ("epochs", "seed"))
        end = Key("accuracy", dataset, split, epochs, seed, epochs)
        texts = {end: row["accuracy"], end._replace(measure="loss"): row.get("loss")}
        texts[end._replace(measure="seconds", split=TRAINING)] = row.get("seconds")
    else:
        dataset = next(iter(wide.values())).dataset if wide else DATASET
        texts = {key: row[name].strip() for name, key in wide.items()}
        end = None
    texts |= {Key(name, dataset): row.get(name) for name in _SIZES}
    seed = _count("seed", row.get("seed") or "0")
    texts |= {Key(name, row.get("dataset") or "", seed=seed): row[name].strip() for name in further}
    values = {}
    for key, text in texts.items():
        # An empty cell is not known, but for the accuracy of the long form.
        if not text and key != end:
            continue
        try:
            value = values[key] = float(text or "")
        except ValueError:
            raise ValueError(f"{key.measure} {(text or '')[:40]!r}: expected a number") from None
        if key.measure == "accuracy" and not 0 <= value <= 100:
            raise ValueError(f"accuracy {value:g}: expected a percentage, 0 to 100")
        if abs(value) == float("inf"):
            raise ValueError(f"{key.measure} {value:g}: expected a finite number")
    return values


def _count(column: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise ValueError(f"{column} {text[:40]!r}: expected a whole number, 0 or more")
    return int(text)
