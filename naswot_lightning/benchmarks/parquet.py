"""A table as Parquet, one line for each training and set of images: what pandas, DuckDB and Spark read at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from naswot_lightning.benchmarks.records import TRAINING, Key
from naswot_lightning.benchmarks.table import Table
from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import atomic_path

# The columns of the long form of a CSV, and how many of the epochs were done.
_OF_THE_SERIES = ("dataset", "split", "epochs", "epoch", "seed")


def write_parquet(table: Table, path: Path) -> int:
    """Write every accuracy of a table, one a line; return how many lines there are.

    A line has the architecture, its index in the benchmark's order, data set, split, epochs of the recipe, epochs done,
    seed, accuracy (percent), loss, seconds (of training until then), parameters and MACs.

    Raises:
        UserError: pyarrow is not installed.
        OSError: the file cannot be written; nothing is left behind.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            "Parquet needs pyarrow, which is not installed: pip install 'naswot-lightning[parquet]'"
        ) from None

    schema = _schema(pyarrow)
    names = pyarrow.array(list(table.architectures), pyarrow.string())
    lines = 0
    with atomic_path(path) as beside, parquet.ParquetWriter(beside, schema) as writer:
        for columns in _series(table):
            rows = np.flatnonzero(~np.isnan(columns["accuracy"]))
            writer.write_table(_lines(pyarrow, schema, names, columns, rows))
            lines += len(rows)
    return lines


def _schema(pyarrow: Any) -> Any:
    text, count, number = pyarrow.string(), pyarrow.int64(), pyarrow.float64()
    kinds = {"architecture": text, "index": count, "dataset": text, "split": text}
    kinds |= dict.fromkeys(("epochs", "epoch", "seed"), count)
    kinds |= dict.fromkeys(("accuracy", "loss", "seconds"), number) | dict.fromkeys(("params", "macs"), count)
    return pyarrow.schema(list(kinds.items()))


def _series(table: Table) -> Iterator[dict[str, Any]]:
    """Yield what every line of a column of accuracies says, and the figures beside."""
    keys = set(table.columns.keys)
    unknown = np.full(len(table.architectures), np.nan)

    def load(key: Key) -> np.ndarray:
        return table.columns.load(key) if key in keys else unknown

    for key in sorted(key for key in keys if key.measure == "accuracy"):
        yield {
            **{name: getattr(key, name) for name in _OF_THE_SERIES},
            "index": unknown if table.numbers is None else np.where(table.numbers < 0, np.nan, table.numbers),
            "accuracy": load(key),
            "loss": load(key._replace(measure="loss")),
            "seconds": load(key._replace(measure="seconds", split=TRAINING)),
            "params": load(Key("params", key.dataset)),
            "macs": load(Key("macs", key.dataset)),
        }


def _lines(pyarrow: Any, schema: Any, names: Any, columns: dict[str, Any], rows: np.ndarray) -> Any:
    arrays = [names.take(pyarrow.array(rows))]
    for field in list(schema)[1:]:
        values = columns[field.name]
        if isinstance(values, np.ndarray):
            arrays.append(pyarrow.array(values[rows], from_pandas=True).cast(field.type))  # NaN becomes null
        else:
            arrays.append(pyarrow.repeat(pyarrow.scalar(values, field.type), len(rows)))
    return pyarrow.Table.from_arrays(arrays, schema=schema)
