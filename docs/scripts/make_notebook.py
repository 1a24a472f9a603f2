"""Make the notebook of a page: ``python docs/scripts/make_notebook.py docs/first-search.md`` writes it beside the page.

The page is the source. Its text and its programs become cells in their order; nothing has been run.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FENCED = re.compile(r"^```python\n(.*?)^```\n", re.DOTALL | re.MULTILINE)


def cells_of(page: str) -> Iterator[tuple[str, str]]:
    """Yield the kind, markdown or code, and the text of each cell; commands for a shell stay text."""
    place = 0
    for fenced in _FENCED.finditer(page):
        yield "markdown", page[place : fenced.start()]
        yield "code", fenced[1]
        place = fenced.end()
    yield "markdown", page[place:]


def notebook_of(page: str) -> str:
    """Return the text of a notebook, nbformat 4.5, without outputs."""
    cells = [_cell(number, *cell) for number, cell in enumerate(cells_of(page))]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
    cell["source"] = text.strip("\n").splitlines(keepends=True)
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}


if __name__ == "__main__":
    source = Path(sys.argv[1])
    source.with_suffix(".ipynb").write_text(notebook_of(source.read_text()))
