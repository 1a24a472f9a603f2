"""Pictures and charts as wandb shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from naswot_lightning.analysis.trajectory import Points
from spaces import SpaceError, known_space

CHART_ROWS = 10_000  # what wandb draws of one chart, and shows of one table
_DPI = 72  # of a cell in a table: 10 to 60 kB


def cell_pictures(space: str, architectures: Sequence[str]) -> list[Any]:
    """Return a ``wandb.Image`` of each architecture's cells, or None where they cannot be drawn.

    Args:
        space: its name; it must be a built-in one, or trusted.
        architectures: the same one is drawn once. About 0.1 s each.
    """
    with TemporaryDirectory() as folder:
        paths = {each: Path(folder, f"{number}.png") for number, each in enumerate(dict.fromkeys(architectures))}
        drawn = {each: _drawn(space, each, path) for each, path in paths.items()}
    return [drawn[each] for each in architectures]


def _drawn(space: str, architecture: str, path: Path) -> Any:
    import wandb
    from PIL import Image

    from spaces.drawing.picture import draw

    try:
        draw(known_space(space), architecture, path, dpi=_DPI)
    except SpaceError:  # it does not describe its cells
        return None
    with Image.open(path) as image:
        return wandb.Image(image.convert("RGB"))


def scatter(rows: Sequence[tuple[Any, ...]], columns: tuple[str, ...], title: str) -> Any:
    """Return a chart of points: the first column along, the second up; further ones are shown with a point.

    Args:
        rows: values of the columns; those beyond :data:`CHART_ROWS` are left out.
        columns: their names.
        title: of the chart.
    """
    import wandb

    table = wandb.Table(columns=list(columns), data=[list(row) for row in rows[:CHART_ROWS]])
    return wandb.plot.scatter(table, columns[0], columns[1], title=title)


def lines(points: Mapping[str, Points], along: str, title: str) -> Any:
    """Return a chart of one line a name, thinned out to what wandb draws.

    Args:
        points: of each line, (x, y).
        along: what x is.
        title: of the chart.
    """
    import wandb

    shown = {name: thinned(each, CHART_ROWS // len(points)) for name, each in points.items() if each}
    return wandb.plot.line_series(
        xs=[[x for x, _ in each] for each in shown.values()],
        ys=[[y for _, y in each] for each in shown.values()],
        keys=list(shown),
        title=title,
        xname=along,
    )


def thinned(points: Points, most: int) -> Points:
    """Return at most so many of the points, evenly chosen, the first and the last among them.

    >>> thinned(((0.0, 5.0), (0.5, 6.0), (1.0, 7.0), (2.0, 8.0)), most=2)
    ((0.0, 5.0), (2.0, 8.0))
    """
    most = max(most, 2)
    if len(points) <= most:
        return points
    return tuple(points[round(place * (len(points) - 1) / (most - 1))] for place in range(most))
