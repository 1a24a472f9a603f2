"""Where the parts of a cell are drawn: columns from left to right, in points.

Edges run through the columns between their ends in lanes of their own, and an edge's label is a box in one of
these lanes. So neither lines nor texts overlap texts: the method of Sugiyama et al. (1981).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from spaces.graph import CellGraph, Edge

FONT_SIZE = 10.0
GAP = 34.0  # between columns, where the lines bend
SPACING = 12.0  # between what stands in one column
PADDING = 7.0  # from a text to its frame
LANE = 2.0  # height of a line that passes a column
_CHARACTER = 0.62 * FONT_SIZE
_LINE = 1.25 * FONT_SIZE
_ROUNDS = 24
_STRAIGHTNESS = 8


@dataclass(eq=False)
class Box:
    """A rectangle around (x, y); y grows downwards.

    Attributes:
        column: its column.
        width: of its text and frame.
        height: of its text and frame.
        x: centre.
        y: centre.
    """

    column: int
    width: float = 0.0
    height: float = LANE
    x: float = 0.0
    y: float = 0.0


Link = tuple[Box, Box]  # in columns side by side, the left one first


@dataclass(frozen=True)
class Layout:
    """A graph with positions.

    Attributes:
        nodes: a box for each node.
        routes: for each edge the boxes that it passes, both nodes included.
        labels: for each edge the box of its label, if it has one.
        columns: left and right end of each column.
        width: of the whole.
        height: of the whole.
    """

    nodes: list[Box]
    routes: list[list[Box]]
    labels: list[Box | None]
    columns: list[tuple[float, float]]
    width: float
    height: float

    def move(self, right: float, down: float) -> None:
        """Shift everything."""
        for box in {*self.nodes, *itertools.chain(*self.routes)}:
            box.x += right
            box.y += down
        self.columns[:] = [(left + right, end + right) for left, end in self.columns]


def lay_out(graph: CellGraph) -> Layout:
    """Lay out the nodes, edges and labels of a graph."""
    nodes = [_box(column, node.label) for column, node in zip(_columns_of(graph), graph.nodes, strict=True)]
    routes = [[nodes[e.source], *_lanes(nodes[e.source], nodes[e.target]), nodes[e.target]] for e in graph.edges]
    labels = _labelled(graph.edges, routes, {box.column for box in nodes})
    boxes = [*nodes, *(box for route in routes for box in route[1:-1])]
    rows: list[list[Box]] = [[] for _ in range(1 + max(box.column for box in boxes))]
    for box in boxes:
        rows[box.column].append(box)
    links = [(a, b) for route in routes for a, b in itertools.pairwise(route)]
    rows = _untangled(rows, links)
    height = _set_heights(rows, links, set(nodes))
    columns = _set_columns(rows)
    return Layout(nodes, routes, labels, columns, columns[-1][1], height)


def _box(column: int, text: str) -> Box:
    lines = text.split("\n")
    return Box(column, max(map(len, lines)) * _CHARACTER + 2 * PADDING, len(lines) * _LINE + PADDING)


def _columns_of(graph: CellGraph) -> list[int]:
    """Return the length of the longest path to each node; an edge with a label is two columns long."""
    columns = [0 if node.live else 1 for node in graph.nodes]  # a dead node without source is no input
    for number in range(len(columns)):
        for edge in graph.edges:
            if edge.target == number:
                columns[number] = max(columns[number], columns[edge.source] + (2 if edge.label else 1))
    columns[-1] = max(columns[-1], *columns)
    return columns


def _lanes(source: Box, target: Box) -> list[Box]:
    return [Box(column) for column in range(source.column + 1, target.column)]


def _labelled(edges: Sequence[Edge], routes: list[list[Box]], with_nodes: set[int]) -> list[Box | None]:
    """Give each labelled edge a box on its way and return it; short edges have the least choice and go first."""
    labels: list[Box | None] = [None] * len(edges)
    used: dict[int, int] = {}
    for number in sorted(range(len(edges)), key=lambda number: len(routes[number])):
        if edges[number].label:
            box = min(routes[number][1:-1], key=_inconvenience(routes[number], used, with_nodes))
            measured = _box(box.column, edges[number].label)
            box.width, box.height = measured.width, measured.height
            used[box.column] = used.get(box.column, 0) + 1
            labels[number] = box
    return labels


def _inconvenience(
    route: list[Box], used: dict[int, int], with_nodes: set[int]
) -> Callable[[Box], tuple[bool, int, float]]:
    """Return what orders the positions of a label: not in a column of nodes, few labels there, in the middle."""
    middle = (route[0].column + route[-1].column) / 2
    return lambda box: (box.column in with_nodes, used.get(box.column, 0), abs(box.column - middle))


def _untangled(rows: list[list[Box]], links: list[Link]) -> list[list[Box]]:
    """Return the columns in an order with few crossings: by the mean position of neighbours, then by swaps."""
    best, fewest = rows, _crossings(rows, links)
    for number in range(_ROUNDS):
        rows = _swapped(_sorted_by_neighbours(rows, links, forward=number % 2 == 0), links)
        crossings = _crossings(rows, links)
        if crossings < fewest:
            best, fewest = rows, crossings
        if fewest == 0:
            break
    return best


def _positions(rows: list[list[Box]]) -> dict[Box, float]:
    return {box: float(index) for row in rows for index, box in enumerate(row)}


def _crossings(rows: list[list[Box]], links: list[Link]) -> int:
    positions = _positions(rows)
    gaps: dict[int, list[tuple[float, float]]] = {}
    for a, b in links:
        gaps.setdefault(a.column, []).append((positions[a], positions[b]))
    return sum(
        (first[0] - second[0]) * (first[1] - second[1]) < 0
        for ends in gaps.values()
        for first, second in itertools.combinations(ends, 2)
    )


def _sorted_by_neighbours(rows: list[list[Box]], links: list[Link], forward: bool) -> list[list[Box]]:
    """Return the columns, each ordered by the mean position of its neighbours in the one ordered before."""
    neighbours: dict[Box, list[Box]] = {}
    for a, b in links:
        box, neighbour = (b, a) if forward else (a, b)
        neighbours.setdefault(box, []).append(neighbour)
    positions = _positions(rows)
    ordered = list(rows)
    for number in range(len(rows)) if forward else reversed(range(len(rows))):
        for box in rows[number]:
            positions[box] = fmean(positions[neighbour] for neighbour in neighbours.get(box, [box]))
        ordered[number] = sorted(rows[number], key=positions.__getitem__)
        positions.update(_positions([ordered[number]]))
    return ordered


def _swapped(rows: list[list[Box]], links: list[Link]) -> list[list[Box]]:
    """Return the columns after one round of swaps of neighbours that leave fewer crossings."""
    rows = [list(row) for row in rows]
    for number, row in enumerate(rows):
        near = [link for link in links if number in (link[0].column, link[1].column)]
        crossings = _crossings(rows, near)
        for index in range(len(row) - 1):
            row[index], row[index + 1] = row[index + 1], row[index]
            after = _crossings(rows, near)
            if after < crossings:
                crossings = after
            else:
                row[index], row[index + 1] = row[index + 1], row[index]
    return rows


def _set_heights(rows: list[list[Box]], links: list[Link], nodes: set[Box]) -> float:
    """Set ``y``: each box near its neighbours, long edges straight; return the height of the whole."""
    neighbours: dict[Box, list[Box]] = {}
    for a, b in links:
        # The parts of one edge hold together harder than an edge and a node do, so that long edges are straight.
        strength = 1 if a in nodes or b in nodes else _STRAIGHTNESS
        neighbours.setdefault(a, []).extend([b] * strength)
        neighbours.setdefault(b, []).extend([a] * strength)
    for number in range(4 * _ROUNDS):
        for row in rows if number % 2 == 0 else reversed(rows):
            _spread(row, neighbours)
    top = min(box.y - box.height / 2 for row in rows for box in row)
    for box in itertools.chain(*rows):
        box.y -= top
    return max(box.y + box.height / 2 for row in rows for box in row)


def _spread(row: list[Box], neighbours: dict[Box, list[Box]]) -> None:
    """Move the boxes of a column as near to their neighbours as their order and heights allow.

    Weighted least squares under order constraints, by pooling adjacent violators.
    """
    offset, offsets = 0.0, [0.0]
    for above, below in itertools.pairwise(row):
        offset += (above.height + below.height) / 2 + SPACING
        offsets.append(offset)
    pools: list[list[float]] = []  # the positions that their boxes want, each as often as a box has neighbours
    members: list[int] = []
    for box, offset in zip(row, offsets, strict=True):
        pools.append([neighbour.y - offset for neighbour in neighbours.get(box, [box])])
        members.append(1)
        while len(pools) > 1 and fmean(pools[-2]) >= fmean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
            members[-2:] = [members[-2] + members[-1]]
    levels = [fmean(pool) for pool, count in zip(pools, members, strict=True) for _ in range(count)]
    for box, level, offset in zip(row, levels, offsets, strict=True):
        box.y = level + offset


def _set_columns(rows: list[list[Box]]) -> list[tuple[float, float]]:
    """Set ``x`` and return both ends of each column."""
    columns: list[tuple[float, float]] = []
    left = 0.0
    for row in rows:
        width = max(box.width for box in row)
        columns.append((left, left + width))
        for box in row:
            box.x = left + width / 2
        left += width + GAP
    return columns
