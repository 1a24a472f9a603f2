"""The cells of architectures as numbers: the page draws them from their edges, which are a hundredth of a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spaces.errors import one_line

if TYPE_CHECKING:
    from spaces.graph import CellGraph

MOST_DRAWN = 3_000  # architectures: 0.3 ms each, and a hundred bytes a cell
_FAULT_SHOWN = 200  # characters


@dataclass
class Cells:
    """Cells that are drawn, each once.

    Attributes:
        words: titles, labels of nodes and operations.
        graphs: each as ``title, nodes, (label * 2 + live) a node, (source, target, label * 2 + live) an edge``;
            titles and labels are places in ``words``.
        fault: why architectures of the space cannot be drawn; None where they can.
    """

    words: dict[str, int] = field(default_factory=dict)
    graphs: dict[tuple[int, ...], int] = field(default_factory=dict)
    fault: str | None = None

    def add(self, graph: CellGraph) -> int:
        """Return the place of a cell in ``graphs``."""
        code = [self._word(graph.title), len(graph.nodes)]
        code += [2 * self._word(node.label) + node.live for node in graph.nodes]
        for edge in graph.edges:
            code += [edge.source, edge.target, 2 * self._word(edge.label) + edge.live]
        return self.graphs.setdefault(tuple(code), len(self.graphs))

    def _word(self, word: str) -> int:
        return self.words.setdefault(word, len(self.words))


def add_cells(cells: Cells, space: str, architectures: Iterable[str]) -> list[tuple[int, ...]]:
    """Return the places of each architecture's cells; none of one that cannot be drawn.

    Code that a file names as its space is not run (:func:`spaces.known_space`).
    """
    from spaces import known_space

    places: list[tuple[int, ...]] = []
    fault = None
    for architecture in architectures:
        try:
            places.append(tuple(map(cells.add, known_space(space).graph(architecture))))
        except Exception as error:  # noqa: BLE001 - a space of the user's own; the page shows the string instead
            fault = one_line(str(error))[:_FAULT_SHOWN]
            places.append(())
    if fault is not None and not any(places):
        cells.fault = fault
    return places
