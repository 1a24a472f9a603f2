"""Docstrings as pages need them: roles of Sphinx, ``:class:`~room.file.Name```, are code, and doctests are programs."""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):`(~?)([\w.]+)`")
_DOCTEST = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)  # to the next empty line


class Docstrings(griffe.Extension):
    """Makes Markdown of every docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(docstring: str) -> str:
    r"""Return a docstring without indentation as Markdown.

    >>> as_markdown("See :meth:`~rooms.file.Name.method` of :class:`rooms.Name`.")
    'See `method` of `rooms.Name`.'
    >>> as_markdown(">>> 1 + 1\n2\n\nMore.")
    '```python\n>>> 1 + 1\n2\n```\n\nMore.'
    """
    fenced = _DOCTEST.sub(lambda test: f"```python\n{test[0]}\n```", docstring)
    return _ROLE.sub(lambda role: f"`{role[2].rpartition('.')[2] if role[1] else role[2]}`", fenced)
