"""Texts that name an architecture or a space."""

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

from spaces import EnumerableSpace, get_space, known_space
from spaces.errors import MAX_PARAMS, TooLargeError

_NAMES = (
    "nasbench201", "nds_darts:depth=8,width=16", "nds_nasnet:imagenet=true", "nasbench101:stem_channels=64",
    "nds_resnext_b:naswot_quirks=true", "nds_pnas:width=20", "nasbench101_16:uniform=true", "my_package.MySpace:most=3",
)  # fmt: skip


def make_architecture_of(name: str) -> Callable:
    def make(rng):
        return {"architecture.txt": get_space(name).sample(rng).encode()}

    return make


def read_architecture_of(name: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        """Ask a space all that the commands ask of an architecture."""
        space, architecture = get_space(name), _text(folder / "architecture.txt")
        space.validate(architecture)
        canonical = space.canonical(architecture)
        assert space.canonical(canonical) == canonical
        assert space.complexity(canonical).params <= 2 * MAX_PARAMS  # the bound is on an estimate
        space.graph(architecture)
        space.validate(space.mutate(architecture, random.Random(0)))
        if isinstance(space, EnumerableSpace):
            assert space[space.index(canonical)] == canonical

    return read


def make_space_name(rng):
    return {"space.txt": rng.choice(_NAMES).encode()}


def read_space_name(folder: Path) -> None:
    """Make a space whose name a file holds, and draw from it."""
    space = known_space(_text(folder / "space.txt"))
    assert known_space(space.name) is space
    with contextlib.suppress(TooLargeError):
        space.validate(space.sample(random.Random(0)))


def _text(path: Path) -> str:
    """A text as the command line passes it: bytes that are no UTF-8 are lone surrogates."""
    return path.read_bytes().decode("utf-8", "surrogateescape")
