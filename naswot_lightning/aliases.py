"""Second names of packages in a checkout: ``spaces`` is ``naswot_lightning.spaces``, each module the same object."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Alias(MetaPathFinder, Loader):
    """Finds ``alias.module`` as ``package.module``: no module is run twice, so that no class has a twin."""

    def __init__(self, alias: str, package: str) -> None:
        self._alias, self._package = alias, package
        self._specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name.startswith(f"{self._alias}.") else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self._package + spec.name.removeprefix(self._alias))
        self._specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Leave it as it is: the import system has put the alias's spec in place of its own."""
        spec = module.__spec__
        assert spec is not None
        module.__spec__ = self._specs.pop(spec.name)


def alias_package(alias: str, package: str) -> None:
    """Let ``import alias`` and ``import alias.module`` give the modules of ``package``."""
    sys.modules[alias] = import_module(package)
    sys.meta_path.insert(0, _Alias(alias, package))
