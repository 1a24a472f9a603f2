"""YAML of plain values: bounded, without tags, aliases or nesting without end."""

from __future__ import annotations

import math
from typing import Any

import yaml

MOST_CHARACTERS = 1_000_000
MOST_NESTING = 50
MOST_VALUES = 10_000  # half a second
_MOST_DIGITS = 19  # of a number of 64 bits


class _PlainLoader(yaml.SafeLoader):
    """Refuses what makes a small file large (aliases), deep, or an object (tags)."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = self._values = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*) is not allowed")
        if getattr(self.peek_event(), "tag", None) is not None:
            raise yaml.YAMLError("a tag (!) is not allowed")
        self._depth += 1
        self._values += 1
        if self._values > MOST_VALUES:
            raise yaml.YAMLError(f"more than {MOST_VALUES:,} values")
        if self._depth > MOST_NESTING:
            raise yaml.YAMLError(f"nested more than {MOST_NESTING} deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_number(self, node: yaml.ScalarNode) -> Any:
        """Return the number of a node; NaN, infinity and those beyond 64 bits are refused."""
        whole = node.tag == "tag:yaml.org,2002:int"
        if whole and len(node.value) > _MOST_DIGITS + 1:
            raise yaml.YAMLError(f"a number of {len(node.value)} digits")
        value = self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)
        if not math.isfinite(value):
            raise yaml.YAMLError(f"{node.value} is no finite number")
        return value


for _kind in ("int", "float"):
    _PlainLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _PlainLoader.construct_number)


def parse_yaml(text: str) -> Any:
    r"""Return the plain values of a YAML text.

    Raises:
        ValueError: it is too long, no YAML, or holds tags, aliases, deep nesting, NaN, or characters that are no text;
            the message is one line.

    >>> parse_yaml("epochs: 12\nwandb: {mode: offline}")
    {'epochs': 12, 'wandb': {'mode': 'offline'}}
    >>> parse_yaml("a: &x [1]\nb: *x")
    Traceback (most recent call last):
    ValueError: an alias (*) is not allowed
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"{len(text):,} characters, more than {MOST_CHARACTERS:,}")
    try:
        loaded = yaml.load(text, _PlainLoader)
    # What its constructors raise for a text that only looks like a number or a date.
    except (
        yaml.YAMLError,
        ValueError,
        RecursionError,
        AttributeError,
        TypeError,
        LookupError,
        ArithmeticError,
    ) as error:
        raise ValueError(_one_line(error)) from None
    return loaded


def _one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error) or type(error).__name__
    where = "" if mark is None else f"line {mark.line + 1}: "
    return where + " ".join(str(problem).split())[:200]
