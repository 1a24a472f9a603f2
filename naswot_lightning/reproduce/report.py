"""A table of the paper on the terminal, as CSV and as a picture."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from naswot_lightning.report.figures import save_figure
from naswot_lightning.report.figures.published_and_ours import draw
from naswot_lightning.reproduce.picked import Picking
from naswot_lightning.reproduce.result_row import print_rows, write_rows


def report(picking: Picking, path: Path, remarks: Sequence[str] = ()) -> None:
    """Compute the rows, print them, and write ``path`` with the endings .csv and .png.

    Args:
        picking: what is computed.
        path: of the files, without an ending.
        remarks: further lines for the reader.
    """
    begin = time.perf_counter()
    rows, columns = picking.rows(), list(picking.columns.values)
    title = f"{picking.published.source}, and here: {picking.table.name}, {_candidates(picking)}"
    print_rows(title, rows, columns)
    print("\n".join([*remarks, *_remarks(picking)]))
    write_rows(path.with_suffix(".csv"), rows, list(picking.published.columns) + _columns_of_ours(picking))
    save_figure(draw(rows, columns, title), path.with_suffix(".png"))
    print(f"{path.with_suffix('.csv')}, {path.with_suffix('.png')}: {time.perf_counter() - begin:.0f} s")


def _columns_of_ours(picking: Picking) -> list[str]:
    """Return the columns that the paper does not have."""
    return [label for label in picking.columns.values if label not in picking.published.columns]


def _candidates(picking: Picking) -> str:
    total = len(picking.table.architectures)
    count = len(picking.places)
    return f"{total:,} architectures" if count == total else f"{count:,} of {total:,} architectures"


def _remarks(picking: Picking) -> list[str]:
    settings, missing = picking.settings, picking.columns.missing
    images = ", ".join(settings.dataset)
    dead = "without dead branches" if settings.canonical else "with dead branches, as in the paper"
    remarks = [
        "Percent, mean ± standard deviation over runs. N architectures are drawn with replacement, as the published "
        "script draws them; of equal scores the first counts.",
        f"Scores: {settings.batch_size} images of {images}, seed {settings.seed}, networks {dead}. "
        "Seconds of NASWOT are those of building and scoring N networks, one after the other.",
    ]
    if missing:
        remarks.append(f"Left out, because {picking.table.name} does not know them: {', '.join(missing)}")
    return remarks
