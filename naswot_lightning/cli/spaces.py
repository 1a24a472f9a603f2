"""``naswot spaces`` lists the search spaces; ``naswot spaces NAME --output cell.png`` draws an architecture."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from naswot_lightning.spaces.errors import SpaceError, one_line

PROG = "naswot spaces"
# Where the output is no terminal.
_WIDTH_OF_A_FILE = 200


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """List the spaces or draw an architecture; return the exit code, 2 with one line on stderr for a mistake."""
    parser = _OneLineParser(prog=PROG, description="List the search spaces, or draw an architecture of one.")
    parser.add_argument(
        "space", nargs="?", help="a name of the list, or the import path of your own; NAME:OPTION=VALUE,..."
    )
    parser.add_argument("--architecture", help="what to draw (a random one, which is printed)")
    parser.add_argument("--seed", type=int, default=0, help="of the random architecture (0)")
    parser.add_argument("--output", type=Path, help="a PNG or SVG file")
    options = parser.parse_args(argv)
    if options.space is None:
        if options.architecture or options.output:
            parser.error("name the space that the architecture is of")
        print_spaces()
        return 0
    if options.output is None:
        parser.error("--output FILE.png or FILE.svg is needed to draw an architecture")
    from naswot_lightning.spaces import get_space
    from naswot_lightning.spaces.drawing import check_suffix, draw

    try:
        check_suffix(options.output)
        space = get_space(options.space)
        if options.architecture is None:
            options.architecture = space.sample(random.Random(options.seed))
            print(options.architecture)
        draw(space, options.architecture, options.output)
    except OSError as error:
        parser.error(one_line(f"{options.output} cannot be written: {error.strerror or error}"))
    except SpaceError as error:
        parser.error(" ".join(str(error).split()))
    return 0


def print_spaces() -> None:
    """Print a table of the registered spaces."""
    from rich.console import Console
    from rich.table import Table

    from naswot_lightning.spaces import EnumerableSpace, get_space, list_spaces
    from naswot_lightning.spaces.own_code import list_options

    columns = ("space", "architectures", "skeleton", "made for", "source", "options")
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    table.columns[0].no_wrap = True
    for name in list_spaces():
        space = get_space(name)
        size = f"{len(space):,}" if isinstance(space, EnumerableSpace) else space.size
        options = ", ".join(map(str, list_options(type(space)).values()))
        table.add_row(name, size, space.skeleton, space.made_for, space.source, options)
    terminal = sys.stdout.isatty()
    width = None if terminal else max(_WIDTH_OF_A_FILE, shutil.get_terminal_size().columns)
    Console(width=width, highlight=False, markup=False).print(table)
