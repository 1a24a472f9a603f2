"""Pictures of architectures, ``draw(space, architecture, path)``; and where the parts of a cell are drawn, in points.

Columns stand from left to right. Edges run through the columns between their ends in lanes of their own, and the label
of an edge is a box in one of these. So neither lines nor texts overlap texts: the method of Sugiyama et al. (1981).
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naswot_lightning.spaces.base import Space
from naswot_lightning.spaces.errors import SpaceError
from naswot_lightning.spaces.graph import CellGraph, Edge

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FONT_SIZE = 10.0
# Between columns, where the lines bend; rows need less.
GAP, GAP_DOWN = 34.0, 20.0
# Between what stands in one column, from a text to its frame, and the height of a line that passes a column.
SPACING, PADDING, LANE = 12.0, 7.0, 2.0
_CHARACTER = 0.62 * FONT_SIZE
_LEADING = 1.25 * FONT_SIZE
_ROUNDS = 24
_STRAIGHTNESS = 8
# Points: where no box moves further in a round, nothing is seen of another.
_SETTLED = 0.01


@dataclass(eq=False)
class Box:
    """A rectangle around (x, y), in a column; y grows downwards."""

    column: int
    width: float = 0.0
    height: float = LANE
    x: float = 0.0
    y: float = 0.0
    place: float = 0.0
    """from the top of its column."""
    before: list[Box] = field(default_factory=list, repr=False)
    """its neighbours in the column to the left."""
    after: list[Box] = field(default_factory=list, repr=False)


@dataclass(frozen=True)
class Layout:
    """A graph with positions."""

    nodes: list[Box]
    routes: list[list[Box]]
    """for each edge the boxes that it passes, both nodes included."""
    labels: list[Box | None]
    """for each edge the box of its label, if it has one."""
    columns: list[tuple[float, float]]
    """left and right end of each column."""
    width: float
    height: float

    @property
    def boxes(self) -> set[Box]:
        """All boxes, lanes among them."""
        return {*self.nodes, *itertools.chain(*self.routes)}

    def move(self, right: float, down: float) -> None:
        """Shift everything."""
        for box in self.boxes:
            box.x += right
            box.y += down
        self.columns[:] = [(left + right, end + right) for left, end in self.columns]


def lay_out(graph: CellGraph, down: bool = False) -> Layout:
    """Lay out the nodes, edges and labels of a graph; ``down``: with rows from top to bottom, which is narrower."""
    nodes = [_box(column, node.label, down) for column, node in zip(_columns_of(graph), graph.nodes, strict=True)]
    routes = []
    for edge in graph.edges:
        source, target = nodes[edge.source], nodes[edge.target]
        routes.append([source, *(Box(column) for column in range(source.column + 1, target.column)), target])
        for left, right in itertools.pairwise(routes[-1]):
            left.after.append(right)
            right.before.append(left)
    labels = _place_labels(graph.edges, routes, {box.column for box in nodes}, down)
    rows: list[list[Box]] = [[] for _ in range(1 + max(box.column for box in nodes))]
    for box in itertools.chain(nodes, *(route[1:-1] for route in routes)):
        rows[box.column].append(box)
    rows = _untangled(rows)
    height = _set_heights(rows, set(nodes))
    columns = _set_columns(rows, GAP_DOWN if down else GAP)
    layout = Layout(nodes, routes, labels, columns, columns[-1][1], height)
    if not down:
        return layout
    for box in layout.boxes:
        box.x, box.y, box.width, box.height = box.y, box.x, box.height, box.width
    return Layout(nodes, routes, labels, columns, layout.height, layout.width)


def text_size(text: str) -> tuple[float, float]:
    """Return width and height of a text with its frame."""
    lines = text.split("\n")
    return max(map(len, lines)) * _CHARACTER + 2 * PADDING, len(lines) * _LEADING + PADDING


def _box(column: int, text: str, down: bool) -> Box:
    width, height = text_size(text)
    return Box(column, height, width) if down else Box(column, width, height)


def _columns_of(graph: CellGraph) -> list[int]:
    """Return the length of the longest path to each node; an edge with a label is two columns long."""
    # A dead node without source is no input.
    columns = [0 if node.live else 1 for node in graph.nodes]
    for number in range(len(columns)):
        for edge in graph.edges:
            if edge.target == number:
                columns[number] = max(columns[number], columns[edge.source] + (2 if edge.label else 1))
    columns[-1] = max(columns[-1], *columns)
    return columns


def _place_labels(edges: Sequence[Edge], routes: list[list[Box]], with_nodes: set[int], down: bool) -> list[Box | None]:
    """Make a lane of each labelled edge the box of its label, and return it."""
    labels: list[Box | None] = [None] * len(edges)
    used: dict[int, int] = {}
    # Short edges have the least choice and go first.
    for number in sorted(range(len(edges)), key=lambda number: len(routes[number])):
        if not edges[number].label:
            continue
        route = routes[number]
        middle = (route[0].column + route[-1].column) / 2
        # Not in a column of nodes, with few labels there, in the middle.
        costs = [(lane.column in with_nodes, used.get(lane.column, 0), abs(lane.column - middle)) for lane in route]
        box = route[min(range(1, len(route) - 1), key=costs.__getitem__)]
        measured = _box(box.column, edges[number].label, down)
        box.width, box.height = measured.width, measured.height
        used[box.column] = used.get(box.column, 0) + 1
        labels[number] = box
    return labels


def _untangled(rows: list[list[Box]]) -> list[list[Box]]:
    """Return the columns in an order with few crossings: by the mean place of neighbours."""
    _number(rows)
    best, fewest = [list(row) for row in rows], _crossings(rows)
    for number in range(_ROUNDS):
        if fewest == 0:
            break
        forward = number % 2 == 0
        for row in rows if forward else reversed(rows):
            for box in row:
                neighbours = box.before if forward else box.after
                if neighbours:
                    box.place = sum(each.place for each in neighbours) / len(neighbours)
            row.sort(key=lambda box: box.place)
            _number([row])
        if (crossings := _crossings(rows)) < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _number(rows: list[list[Box]]) -> None:
    for row in rows:
        for place, box in enumerate(row):
            box.place = place


def _crossings(rows: list[list[Box]]) -> int:
    return sum(
        (first[0] - second[0]) * (first[1] - second[1]) < 0
        for row in rows
        for first, second in itertools.combinations([(a.place, b.place) for a in row for b in a.after], 2)
    )


def _set_heights(rows: list[list[Box]], nodes: set[Box]) -> float:
    """Set ``y``: each box near its neighbours, long edges straight; return the height of the whole."""
    # The parts of one edge hold together harder than an edge and a node do, so that long edges are straight.
    pulls = {
        box: [(other, 1 if box in nodes or other in nodes else _STRAIGHTNESS) for other in (*box.before, *box.after)]
        or [(box, 1)]
        for row in rows
        for box in row
    }
    for number in range(4 * _ROUNDS):
        moved = max([_spread(row, pulls) for row in (rows if number % 2 == 0 else reversed(rows))])
        if moved < _SETTLED:
            break
    top = min(box.y - box.height / 2 for row in rows for box in row)
    for box in itertools.chain(*rows):
        box.y -= top
    return max(box.y + box.height / 2 for row in rows for box in row)


def _spread(row: list[Box], pulls: dict[Box, list[tuple[Box, int]]]) -> float:
    """Move the boxes of a column as near to their neighbours as their order and heights allow; return the longest move.

    Weighted least squares under order constraints, by pooling adjacent violators.
    """
    offsets: list[float] = []
    # Of each pool the sum of what its boxes want, its weight, and how many boxes it has.
    pools: list[tuple[float, int, int]] = []
    for number, box in enumerate(row):
        above = row[number - 1]
        offsets.append(offsets[-1] + (above.height + box.height) / 2 + SPACING if number else 0.0)
        wanted = sum(strength * (other.y - offsets[-1]) for other, strength in pulls[box])
        pool = (wanted, sum(strength for _, strength in pulls[box]), 1)
        while pools and pools[-1][0] / pools[-1][1] >= pool[0] / pool[1]:
            total, weight, count = pools.pop()
            pool = (total + pool[0], weight + pool[1], count + pool[2])
        pools.append(pool)
    levels = [total / weight for total, weight, count in pools for _ in range(count)]
    moved = 0.0
    for box, level, offset in zip(row, levels, offsets, strict=True):
        moved = max(moved, abs(box.y - level - offset))
        box.y = level + offset
    return moved


def _set_columns(rows: list[list[Box]], gap: float) -> list[tuple[float, float]]:
    """Set ``x`` and return both ends of each column."""
    columns: list[tuple[float, float]] = []
    left = 0.0
    for row in rows:
        width = max(box.width for box in row)
        columns.append((left, left + width))
        for box in row:
            box.x = left + width / 2
        left += width + gap
    return columns


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
