"""The cells of architectures as numbers, from which the page draws them: a hundredth of a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spaces.graph import CellGraph

# Architectures.
MOST_DRAWN = 3_000
# A layout takes 2 to 6 ms; cells with the same edges and labels of the same lengths share one.
MOST_LAYOUTS = 400


@dataclass
class Cells:
    """Cells that are drawn, each once."""

    words: dict[str, int] = field(default_factory=dict)
    """titles, labels of nodes and operations, with their positions."""
    graphs: dict[tuple[int, ...], int] = field(default_factory=dict)
    """each as title, layout, nodes, (label * 2 + live) per node, (source, target, label * 2 + live) per edge.
    Titles and labels are positions in ``words``, layouts in ``layouts``."""
    layouts: list[dict[str, Any]] = field(default_factory=list)
    _shapes: dict[Any, int] = field(default_factory=dict)

    def add(self, space: str, architecture: str) -> tuple[int, ...]:
        """Return the positions of an architecture's cells in ``graphs``; none where it cannot be drawn.

        Code that a file names as its space is not run (:func:`spaces.known_space`).
        """
        from spaces import known_space

        try:
            cells = known_space(space).graph(architecture)
        except Exception:  # noqa: BLE001 - a space of the user's own; the page shows the string instead
            return ()
        found = []
        for graph, layout in zip(cells, [self._layout(graph) for graph in cells], strict=True):
            if layout is not None:
                code = [self._word(graph.title), layout, len(graph.nodes)]
                code += [2 * self._word(node.label) + node.live for node in graph.nodes]
                for edge in graph.edges:
                    code += [edge.source, edge.target, 2 * self._word(edge.label) + edge.live]
                found.append(self.graphs.setdefault(tuple(code), len(self.graphs)))
        return tuple(found) if len(found) == len(cells) else ()

    def _word(self, word: str) -> int:
        return self.words.setdefault(word, len(self.words))

    def _layout(self, graph: CellGraph) -> int | None:
        """Return the position of a graph's layout; None where it would be one too many."""
        from spaces.drawing.layout import lay_out, text_size

        # All that a layout depends on.
        shape = (
            tuple((text_size(node.label), node.live) for node in graph.nodes),
            tuple((edge.source, edge.target, edge.label and text_size(edge.label)) for edge in graph.edges),
        )
        if shape not in self._shapes and len(self.layouts) < MOST_LAYOUTS:
            layout = lay_out(graph, down=True)
            box = lambda each: each and [round(value, 1) for value in (each.x, each.y, each.width, each.height)]  # noqa: E731
            self._shapes[shape] = len(self.layouts)
            self.layouts.append(
                {
                    "size": [round(layout.width, 1), round(layout.height, 1)],
                    "rows": [[round(top, 1), round(bottom, 1)] for top, bottom in layout.columns],
                    "nodes": list(map(box, layout.nodes)),
                    "labels": list(map(box, layout.labels)),
                    "routes": [[route[0].column, *(round(lane.x, 1) for lane in route)] for route in layout.routes],
                }
            )
        return self._shapes.get(shape)
