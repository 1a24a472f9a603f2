"""Code of the user's own, named by an import path: who may name it, and its import; and the options in a name.

Options such as ``nds_darts:depth=8,width=16`` are the typed arguments of what is named.
"""

from __future__ import annotations

import importlib
import inspect
import math
import os
import re
import sys
import sysconfig
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naswot_lightning.spaces.errors import SpaceError, did_you_mean, quoted

_trusted: set[str] = set()


def is_import_path(name: str) -> bool:
    """Return whether a thing is named by the import path of its code, not by a name of a list.

    >>> is_import_path("my_package.MySpace:depth=3"), is_import_path("nds_darts:depth=8")
    (True, False)
    """
    return "." in name.partition(":")[0]


def trust(name: str) -> None:
    """Let the code that an import path names be imported where a file names it, too; call it with the user's words."""
    _trusted.add(name.partition(":")[0])


def expect_trusted(what: str, name: str) -> None:
    """Raise :class:`SpaceError` for an import path that a file names, and that nobody vouched for (:func:`trust`).

    Opening somebody's run folder or checkpoint must not run what it names. ``what`` is the option: "space", "dataset".
    """
    path = name.partition(":")[0]
    if is_import_path(name) and path not in _trusted:
        raise SpaceError(
            f"{what} {name}: a file names this code, which would be run; if you trust it, add --{what} {name} or "
            f"--trust, or call naswot_lightning.spaces.trust({path!r}) first"
        )


def import_own(what: str, path: str, kind: str, accepts: Callable[[type], bool]) -> Any:
    """Return what an import path names, looked up from the working directory first.

    That is a class that is accepted, in words a ``kind``, which may be empty, or a function of the user's own.

    Raises:
        SpaceError: it is no import path, cannot be imported, or is anything else.
    """
    if not all(part.isidentifier() for part in path.split(".")):
        raise SpaceError(f"{what} {path!r}: expected an import path such as my_package.MyClass")
    module, _, attribute = path.rpartition(".")
    # A script's folder is on the path, the folder that the user stands in is not.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SpaceError(f"{what} {path!r} cannot be imported from {os.getcwd()}: {error}") from error
    # Never called: what an installed library, or this one, happens to hold.
    if accepts(found) if inspect.isclass(found) else _is_own_function(found, module):
        return found
    kinds = f"{kind}, or a function" if kind else "a function"
    raise SpaceError(f"{what} {path!r}: expected {kinds} that a module of your own defines")


def _is_own_function(found: object, module: str) -> bool:
    libraries = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return (
        inspect.isfunction(found)
        and found.__module__ == module
        and module.partition(".")[0] not in ("spaces", "naswot_lightning", "callbacks")
        and not any(Path(inspect.getfile(found)).resolve().is_relative_to(Path(each).resolve()) for each in libraries)
    )


Value = bool | int | float | str

_KINDS: dict[str, type[Value]] = {kind.__name__: kind for kind in (bool, int, float, str)}
_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
# Of a whole number, its sign among them; Python itself refuses more than 4,300.
_MOST_DIGITS = 40
_NOT_A_KIND = {"None", "Optional", "Union", "typing"}


@dataclass(frozen=True)
class Option:
    """One option of a space: an argument of its constructor."""

    name: str
    kind: type[Value]
    """bool, int, float or str."""
    default: object
    """``inspect.Parameter.empty`` where the option must be given."""

    def __str__(self) -> str:
        return f"{self.name}={self.kind.__name__}"


def list_options(constructor: object) -> dict[str, Option]:
    """Return the options of a class or function: its arguments of type bool, int, float or str, or None beside it."""
    options = {}
    for parameter in _parameters(constructor):
        # "Optional[int]" and "int | None" leave one word of a known kind.
        words = set(re.findall(r"\w+", inspect.formatannotation(parameter.annotation))) - _NOT_A_KIND
        if len(words) == 1 and (kind := _KINDS.get(words.pop())):
            options[parameter.name] = Option(parameter.name, kind, parameter.default)
    return options


def read_options(
    name: str, constructor: object, what: str = "space", given: Collection[str] = ()
) -> tuple[str, dict[str, Value]]:
    """Read the options in a name, ``SPACE`` or ``SPACE:OPTION=VALUE,...``, of a space or another thing made by name.

    Arguments of the constructor that are ``given`` are no options: whoever calls it gives them. Returned are the name
    with its options sorted, without those that have their default value, and the others as arguments. A SpaceError
    names the option that is unknown, missing or of another type.
    """
    space, colon, text = name.partition(":")
    options = {option: each for option, each in list_options(constructor).items() if option not in given}
    fault = f"{what} {quoted(name)}"
    values: dict[str, Value] = {}
    for written in text.split(",") if colon else ():
        option, value = _read(fault, written, options)
        if option.name in values:
            raise SpaceError(f"{fault}: the option {option.name!r} is written twice")
        values[option.name] = value
    for parameter in _parameters(constructor):
        required = parameter.default is inspect.Parameter.empty and parameter.name not in given
        if required and parameter.name not in values:
            cure = (
                f"write it as {space}:{options[parameter.name]}"
                if parameter.name in options
                else f"give it a default: an option is one of {', '.join(_KINDS)}"
            )
            raise SpaceError(f"{fault}: the argument {parameter.name!r} of its constructor is missing; {cure}")
    values = {option: values[option] for option in sorted(values) if values[option] != options[option].default}
    # bool as true or false, as it is read.
    texts = {option: str(each).lower() if isinstance(each, bool) else str(each) for option, each in values.items()}
    full = ",".join(f"{option}={text}" for option, text in texts.items())
    return f"{space}:{full}" if full else space, values


def _parameters(constructor: object) -> Iterator[inspect.Parameter]:
    """Yield the arguments that can be given by name."""
    try:
        parameters = inspect.signature(constructor).parameters if callable(constructor) else {}
    # A class of Python's own in C.
    except ValueError:
        parameters = {}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return (parameter for parameter in parameters.values() if parameter.kind in named)


def _read(fault: str, written: str, options: dict[str, Option]) -> tuple[Option, Value]:
    name, equals, text = written.partition("=")
    if not options:
        raise SpaceError(f"{fault}: it has no options; the constructor has no argument of type {', '.join(_KINDS)}")
    if name not in options:
        known = ", ".join(map(str, options.values()))
        raise SpaceError(
            f"{fault}: unknown option {quoted(name)}, expected one of {known}{did_you_mean(name, options)}"
        )
    option = options[name]
    value: Value | None = None
    if equals and option.kind is bool:
        value = {"true": True, "false": False}.get(text.lower())
    elif equals and (option.kind is not int or len(text) <= _MOST_DIGITS):
        with suppress(ValueError):
            value = option.kind(text)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        most = f" of at most {_MOST_DIGITS} digits" if option.kind is int and len(text) > _MOST_DIGITS else ""
        raise SpaceError(f"{fault}: {quoted(written)}, expected {name}= and {_EXPECTED[option.kind]}{most}")
    return option, value
