"""Make the notebook of a page: ``python docs/scripts/make_notebook.py docs/first-search.md`` writes it beside the page.

The page is the source. Its text, its programs and its commands become cells in their order; nothing has been run.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FENCED = re.compile(r"^```(python|bash)\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
_BEGINNING = """\
import os
import sys
from pathlib import Path

if not Path("search.py").exists():
    os.chdir("..")  # to the folder of search.py: this notebook lies in docs/
python = sys.executable  # what runs this notebook runs the commands, too
"""


def cells_of(page: str) -> Iterator[tuple[str, str]]:
    """Yield the kind, markdown or code, and the text of each cell."""
    title, rest = page.split("\n\n", 1)
    yield "markdown", title
    yield "code", _BEGINNING
    place = 0
    for fenced in _FENCED.finditer(rest):
        yield "markdown", rest[place : fenced.start()]
        yield "code", fenced[2] if fenced[1] == "python" else _commands(fenced[2])
        place = fenced.end()
    yield "markdown", rest[place:]


def _commands(lines: str) -> str:
    return re.sub(r"^python ", "!{python} ", lines, flags=re.MULTILINE)


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
