"""Search spaces: ``get_space("nasbench201")``. A new space is a new file here and a line in the registry."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from naswot_lightning.spaces.errors import SpaceError, did_you_mean
from naswot_lightning.spaces.own_code import expect_trusted, import_own, is_import_path, trust

if TYPE_CHECKING:
    from naswot_lightning.spaces.base import CategoricalSpace, Complexity, EnumerableSpace, Space

# The registry: a name, and where its class is.
SPACES = {
    "nasbench201": "naswot_lightning.spaces.nasbench201:NASBench201",
    "nats_size": "naswot_lightning.spaces.nats_size:NATSSize",
    "nasbench101": "naswot_lightning.spaces.nasbench101.space:NASBench101",
    "nasbench101_16": "naswot_lightning.spaces.nasbench101.space:NASBench101Narrow",
    "nasbench_macro": "naswot_lightning.spaces.nasbench_macro:NASBenchMacro",
    "nds_nasnet": "naswot_lightning.spaces.nds.cells:NASNetSpace",
    "nds_amoeba": "naswot_lightning.spaces.nds.cells:AmoebaSpace",
    "nds_pnas": "naswot_lightning.spaces.nds.cells:PNASSpace",
    "nds_enas": "naswot_lightning.spaces.nds.cells:ENASSpace",
    "nds_darts": "naswot_lightning.spaces.nds.cells:DARTSSpace",
    "nds_resnet": "naswot_lightning.spaces.nds.standard:ResNetSpace",
    "nds_resnext_a": "naswot_lightning.spaces.nds.standard:ResNeXtASpace",
    "nds_resnext_b": "naswot_lightning.spaces.nds.standard:ResNeXtBSpace",
    "nds_vanilla": "naswot_lightning.spaces.nds.standard:VanillaSpace",
}
# By the names that were asked for.
_made: dict[str, Space] = {}
_EXPORTS = ("CategoricalSpace", "Complexity", "EnumerableSpace", "Space")

__all__ = [
    "CategoricalSpace", "Complexity", "EnumerableSpace", "Space", "SpaceError", "get_space", "is_import_path",
    "known_space", "list_spaces", "trust",
]  # fmt: skip


def list_spaces() -> list[str]:
    """Return the names that :func:`get_space` takes.

    >>> list_spaces()[:3]
    ['nasbench201', 'nats_size', 'nasbench101']
    """
    return list(SPACES)


def known_space(name: str) -> Space:
    """Return the space that a file names: one of the list, or one whose import path the user trusts.

    Opening somebody's run folder or checkpoint must not run what it names.

    Raises:
        SpaceError: an import path that nobody vouched for (:func:`trust`), or as :func:`get_space`.
    """
    expect_trusted("space", name)
    return get_space(name)


def get_space(name: str) -> Space:
    """Return the search space of that name, or of an import path such as ``my_package.MySpace``.

    The path names a subclass of :class:`Space`, or a function that a module of your own defines and that returns
    networks by name (see :class:`naswot_lightning.spaces.base.NamedNetworks`); it is looked up from the working
    directory first. Its code is imported and called: of a name that comes from a file, ask :func:`known_space`.

    Either may be followed by options, the typed arguments of the class or function: ``nds_darts:depth=8,width=16``.
    The space's own name has them sorted and without those that are the default; the same name is the same object.

    Raises:
        SpaceError: no such space, or no such option; the message lists the names that there are, and the nearest one.

    >>> space = get_space("nasbench201")
    >>> len(space), space[0]
    (15625, '|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|')
    >>> get_space("nds_darts:width=8,depth=4").name  # options sorted, defaults left out
    'nds_darts:depth=4,width=8'
    >>> get_space("nasbench20")
    Traceback (most recent call last):
    naswot_lightning.spaces.errors.SpaceError: unknown space 'nasbench20', expected ... did you mean 'nasbench201'?
    """
    if name not in _made:
        _made[name] = _make_space(name)
    return _made[name]


def _make_space(name: str) -> Space:
    from naswot_lightning.spaces.own_code import read_options

    constructor = _constructor(name.partition(":")[0])
    full_name, arguments = read_options(name, constructor)
    if full_name != name:
        return get_space(full_name)
    from naswot_lightning.spaces.base import NamedNetworks, Space

    try:
        made = constructor(**arguments)
    except ValueError as error:
        if not arguments:
            raise
        # A value that it refuses.
        raise SpaceError(f"space {name!r}: {error}") from error
    if not isinstance(made, Space):
        return NamedNetworks(made, name)
    # Seeds, files and tables know the space by this name.
    made.name = name
    return made


def _constructor(name: str) -> Any:
    if name in SPACES:
        module, _, attribute = SPACES[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    if "." not in name:
        near = did_you_mean(name, SPACES)
        raise SpaceError(f"unknown space {name!r}, expected one of {', '.join(SPACES)}, or an import path{near}")
    from naswot_lightning.spaces.base import Space

    def is_space(kind: type) -> bool:
        return issubclass(kind, Space) and not inspect.isabstract(kind)

    found = import_own("space", name, "a subclass of naswot_lightning.spaces.Space", is_space)
    trust(name)
    return found


# Torch costs seconds: loaded with the first space, not before.
def __getattr__(attribute: str) -> object:
    if attribute in _EXPORTS:
        return getattr(importlib.import_module("naswot_lightning.spaces.base"), attribute)
    raise AttributeError(f"module 'naswot_lightning.spaces' has no attribute {attribute!r}")
