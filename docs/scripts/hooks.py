r"""What the pages need beside Markdown to read the same here as on GitHub: ``\|`` in the code of a table is a bar."""

import re
from typing import Any

_CODE = re.compile(r"`[^`\n]+`")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page with plain bars in the code of its tables, where Python-Markdown splits no cell."""
    return "\n".join(_plain_bars(line) if line.startswith("|") else line for line in markdown.split("\n"))


def _plain_bars(row: str) -> str:
    return _CODE.sub(lambda code: code[0].replace(r"\|", "|"), row)
