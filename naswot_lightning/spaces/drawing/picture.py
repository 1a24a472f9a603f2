"""Pictures of architectures: ``draw(space, architecture, path)``."""

from __future__ import annotations

import io
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naswot_lightning.spaces.base import Space
from naswot_lightning.spaces.drawing.layout import FONT_SIZE, Box, Layout, lay_out
from naswot_lightning.spaces.errors import SpaceError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")
MARGIN = 22.0
TITLE_FONT = 13.0
STRING_FONT = 8.5
MIN_WIDTH = 460.0
# In font sizes: the height of a line, and the width of a character.
_LINE, _MONOSPACE = 1.4, 0.61
_POINTS_PER_INCH = 72

# By whether it is live.
INK = {True: "#2b3440", False: "#a9adb3"}
STROKE: dict[bool, Any] = {True: "solid", False: (0.0, (4.0, 3.0))}
# The first pattern that is found in a text says its face.
FACES = {r"conv|^cell|^stage": "#cfe2f8", r"pool_?\d": "#d3efd8", r"skip": "#fbe7c2"}
PLAIN_FACE = "#eceff3"


def draw(space: Space, architecture: str, path: Path, dpi: int = 150) -> None:
    """Draw the cells of an architecture (:meth:`spaces.Space.graph`) into a PNG or SVG file, whose folder is made.

    An inch is 72 points, and a text 8 to 13: ``dpi`` are the pixels of a PNG file per inch.
    """
    import matplotlib

    check_suffix(path)
    graphs = space.graph(architecture)
    layouts = [lay_out(graph) for graph in graphs]
    width = max(MIN_WIDTH, *(layout.width for layout in layouts))
    lines = wrapped(architecture.strip(), int(width / (STRING_FONT * _MONOSPACE)))
    heading = MARGIN + _LINE * (TITLE_FONT + STRING_FONT * len(lines))
    height = heading + sum(_height(layout) for layout in layouts)
    figure, axes = _sheet(width + 2 * MARGIN, height + MARGIN)
    axes.text(MARGIN, MARGIN, space.name, fontsize=TITLE_FONT, weight="bold", color=INK[True], va="center")
    style = {"fontsize": STRING_FONT, "family": "monospace", "color": INK[True], "va": "center"}
    for number, line in enumerate(lines):
        y = MARGIN + _LINE * (TITLE_FONT + number * STRING_FONT)
        axes.text(MARGIN, y, line, style, parse_math=False)
    top = heading
    for graph, layout in zip(graphs, layouts, strict=True):
        layout.move(MARGIN + (width - layout.width) / 2, top + MARGIN + _LINE * FONT_SIZE)
        axes.text(
            MARGIN, top + MARGIN, graph.title, fontsize=FONT_SIZE, fontweight="bold", color=INK[True], va="center"
        )
        for edge, route, box in zip(graph.edges, layout.routes, layout.labels, strict=True):
            _draw_line(axes, route, layout.columns, edge.live)
            if box is not None:
                _draw_box(axes, box, edge.label, edge.live, rounding=box.height / 2)
        for node, box in zip(graph.nodes, layout.nodes, strict=True):
            _draw_box(axes, box, node.label, node.live, rounding=3.0)
        top += _height(layout)
    kind, picture = path.suffix.lower()[1:], io.BytesIO()
    # The same picture is the same file: without dates, and with fixed names in an SVG.
    with matplotlib.rc_context({"svg.hashsalt": "spaces"}):
        figure.savefig(picture, dpi=dpi, format=kind, metadata={"Date": None} if kind == "svg" else None)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture.getvalue())


def _height(layout: Layout) -> float:
    return MARGIN + _LINE * FONT_SIZE + layout.height


def check_suffix(path: Path) -> None:
    """Raise :class:`SpaceError` unless the file is one that can be drawn."""
    if path.suffix.lower() not in SUFFIXES:
        raise SpaceError(f"output {str(path)!r}: the name must end in {' or '.join(SUFFIXES)}")


def wrapped(architecture: str, width: int) -> list[str]:
    """Break an architecture into lines, after its separators where it has any."""
    lines = [""]
    for part in re.findall(rf"[^|;+]{{1,{width - 1}}}[|;+]?|[|;+]", architecture):
        if len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return lines


def _sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure and axes whose unit is the point, with the origin at the top left."""
    # Without pyplot, which would choose a backend for the whole process.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    return figure, axes


def _draw_line(axes: Axes, route: list[Box], columns: list[tuple[float, float]], live: bool) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    # Straight through columns, bent between them.
    points = [(route[0].x + route[0].width / 2, route[0].y)]
    codes = [Curve.MOVETO]
    for start, end in itertools.pairwise(route):
        bend, straight = columns[start.column][1], columns[end.column][0]
        middle = (bend + straight) / 2
        points += [(bend, start.y), (middle, start.y), (middle, end.y), (straight, end.y)]
        codes += [Curve.LINETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4]
    # Under the frame of the target by a hair, so that the last piece always has a length and a direction.
    points.append((route[-1].x - route[-1].width / 2 + 0.1, route[-1].y))
    curve = FancyArrowPatch(path=Curve(points, [*codes, Curve.LINETO]), arrowstyle="-|>", mutation_scale=9)
    # Where lines cross, the live one is on top.
    curve.set(color=INK[live], linestyle=STROKE[live], linewidth=1.2, zorder=1 + live)
    axes.add_patch(curve)


def _draw_box(axes: Axes, box: Box, text: str, live: bool, rounding: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    corner = (box.x - box.width / 2, box.y - box.height / 2)
    frame = FancyBboxPatch(corner, box.width, box.height, boxstyle=f"round,pad=0,rounding_size={rounding}")
    face = next((face for pattern, face in FACES.items() if re.search(pattern, text)), PLAIN_FACE)
    frame.set(facecolor=face if live else "white", edgecolor=INK[live], linestyle=STROKE[live], zorder=3)
    axes.add_patch(frame)
    style = {"ha": "center", "va": "center", "color": INK[live]}
    axes.text(box.x, box.y, text, style, fontsize=FONT_SIZE, zorder=4, parse_math=False)
