"""``naswot spaces`` lists the search spaces; ``naswot spaces NAME --output cell.png`` draws an architecture."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from naswot_lightning.console import print_words
from naswot_lightning.errors import UserError
from naswot_lightning.spaces import EnumerableSpace, get_space, list_spaces
from naswot_lightning.spaces.own_code import list_options


@dataclass
class SpacesConfig:
    """List the search spaces, or draw an architecture of one."""

    space: str | None = None
    """A search space from the list, or your own (module.name), optionally with options: NAME:OPTION=VALUE,... The
    option's name may be left out."""
    architecture: str | None = None
    """The architecture to draw. Default: a random one, which is printed."""
    seed: int = 0
    """Seed of the random architecture."""
    output: str | None = None
    """The PNG or SVG file to write."""


def run_spaces(config: SpacesConfig) -> int:
    """List the spaces or draw an architecture; return 0."""
    if config.space is None:
        if config.architecture or config.output:
            raise UserError("--space is missing: name the space of the architecture, such as nasbench201")
        print_spaces()
        return 0
    if config.output is None:
        raise UserError("--output is missing: name the picture to write, such as --output cell.png or cell.svg")
    # Loads torch and what draws.
    from naswot_lightning.spaces.drawing import check_suffix, draw

    output = Path(config.output)
    check_suffix(output)
    space, architecture = get_space(config.space), config.architecture
    if architecture is None:
        architecture = space.sample(random.Random(config.seed))
        print(architecture)
    draw(space, architecture, output)
    return 0


def print_spaces() -> None:
    """Print a table of the registered spaces."""
    rows = []
    for name in list_spaces():
        space = get_space(name)
        size = f"{len(space):,}" if isinstance(space, EnumerableSpace) else space.size
        options = ", ".join(map(str, list_options(type(space)).values()))
        rows.append((name, size, space.skeleton, space.made_for, space.source, options))
    print_words(("space", "architectures", "skeleton", "made for", "source", "options"), rows)
