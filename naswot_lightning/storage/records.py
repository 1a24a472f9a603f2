"""From the text of a file to checked values: JSON against a record's types in one pass, YAML as plain values.

A record is a frozen dataclass with ``__pydantic_config__ = STRICT``. What is checked: the type of every field, its
bounds, missing and unknown fields, NaN, infinity and numbers beyond 64 bits, nesting, text that is no Unicode.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import yaml
from annotated_types import Ge, Gt, Le

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Record = TypeVar("Record")
Count = Annotated[int, Ge(0), Le(2**63 - 1)]
Positive = Annotated[int, Ge(1), Le(2**63 - 1)]
# Beyond all of 32 bits; sums and squares of such numbers are finite, and they can be drawn.
MOST = 1e40
Number = Annotated[float, Ge(-MOST), Le(MOST)]
Amount = Annotated[float, Ge(0), Le(MOST)]
Above0 = Annotated[float, Gt(0), Le(MOST)]
Share = Annotated[float, Ge(0), Le(1)]

STRICT: dict[str, Any] = {"strict": True, "extra": "forbid", "allow_inf_nan": False}
# Of a YAML file.
MOST_CHARACTERS = 1_000_000
# Characters of a value in a message.
_SHOWN = 60
# What the constructors of YAML raise for a text that only looks like a number or a date.
_FAULTS = (ValueError, RecursionError, AttributeError, TypeError, LookupError, ArithmeticError)


def from_json(kind: Callable[..., Record], content: bytes | str) -> Record:
    """Return the record of a JSON object, whose class is ``kind``; of no such object, a ValueError says what is wrong.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Point:
    ...     __pydantic_config__ = STRICT
    ...     epoch: Count
    ...     score: float | None
    >>> from_json(Point, '{"epoch": 1, "score": 0.5}')
    Point(epoch=1, score=0.5)
    >>> from_json(Point, '{"epoch": -1, "score": NaN}')
    Traceback (most recent call last):
    ValueError: epoch: input should be greater than or equal to 0, got -1
    """
    return _validated(_adapter(kind).validate_json, content)


def checked_list(kind: Any, values: list[Any]) -> list[Any]:
    """Return values that a file gave, each of a type such as ``Count | None``; the first other one is a ValueError."""
    from pydantic import ConfigDict, FailFast, TypeAdapter

    config = ConfigDict(strict=True, allow_inf_nan=False)
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[list[kind], FailFast()], config=config)
    return _validated(adapter.validate_python, values)


def _validated(validate: Callable[[Any], Record], content: object) -> Record:
    """Return what pydantic makes of a content, or raise what is wrong first: field, expectation, and a short value."""
    try:
        return validate(content)
    except ValueError as error:
        from pydantic import ValidationError

        if not isinstance(error, ValidationError):
            raise
        first = error.errors(include_url=False)[0]
    # Of a record's own __post_init__.
    if first["type"] == "value_error":
        raise ValueError(str(first["ctx"]["error"]))
    message = first["msg"][:1].lower() + first["msg"][1:]
    if first["type"] not in ("json_invalid", "missing", "dataclass_type", "model_type"):
        try:
            text = repr(first["input"])
        except (ValueError, RecursionError):  # an integer of more than 4,300 digits, nesting without end
            text = "a value too long to show"
        message += f", got {text if len(text) <= _SHOWN else text[:_SHOWN] + '...'}"
    field = ".".join(map(str, first["loc"]))
    raise ValueError(f"{field}: {message}" if field else message)


def from_plain(kind: Callable[..., Record], values: object) -> Record:
    """Return the record of values that a file gave by their names, as :func:`from_json` does."""
    from pydantic_core import PydanticSerializationError, to_json

    try:
        content = to_json(values, inf_nan_mode="constants")
    except (PydanticSerializationError, ValueError) as error:  # no plain values, or nested without end
        raise ValueError(str(error).splitlines()[0]) from None
    return from_json(kind, content)


def parse_json(content: bytes) -> Any:
    """Return the plain values of a JSON text; NaN, infinity, text that is no Unicode and the like are a ValueError.

    >>> parse_json(b'[1, "two", null]')
    [1, 'two', None]
    """
    from pydantic_core import from_json as parse

    return parse(content, allow_inf_nan=False)


@lru_cache(maxsize=32)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


class _PlainLoader(yaml.SafeLoader):
    """Refuses aliases, by which a small file becomes a large value, and numbers that are not finite."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*) is not allowed")
        return super().compose_node(parent, index)

    def construct_finite(self, node: yaml.ScalarNode) -> float:
        value: float = self.construct_yaml_float(node)
        if not math.isfinite(value):
            raise yaml.YAMLError(f"{node.value} is no finite number")
        return value


_PlainLoader.add_constructor("tag:yaml.org,2002:float", _PlainLoader.construct_finite)


def parse_yaml(text: str) -> Any:
    r"""Return the plain values of a YAML text; an object, an alias, NaN, infinity or too long a text is a ValueError.

    >>> parse_yaml("epochs: 12\nwandb: {mode: offline}")
    {'epochs': 12, 'wandb': {'mode': 'offline'}}
    >>> parse_yaml("a: &x [1]\nb: *x")
    Traceback (most recent call last):
    ValueError: an alias (*) is not allowed
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"{len(text):,} characters, more than {MOST_CHARACTERS:,}")
    try:
        return yaml.load(text, _PlainLoader)
    except (yaml.YAMLError, *_FAULTS) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error) or type(error).__name__
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise ValueError(where + " ".join(str(problem).split())[:200]) from None
