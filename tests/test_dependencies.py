"""What is known of dependencies without a network: the releases that must not be installed."""

import re
from importlib.metadata import version

import pytest
from packaging.specifiers import SpecifierSet

from tests.conftest import ROOT

COMPROMISED = {"pytorch-lightning": ("2.6.2", "2.6.3")}


@pytest.mark.parametrize("name", COMPROMISED)
def test_compromised_releases_are_excluded_and_not_installed(name):
    (allowed,) = re.findall(rf'"{name}([^"]*)"', (ROOT / "pyproject.toml").read_text())
    pinned = re.findall(rf"^{name}==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    for release in COMPROMISED[name]:
        assert release not in SpecifierSet(allowed)
        assert release not in pinned
        assert version(name) != release
