"""What costs seconds to load is loaded by what needs it."""

import re
import subprocess
import sys

import pytest

from naswot_lightning.cli.parser import choices
from tests.conftest import ROOT

HEAVY = ("torch", "numba", "matplotlib", "wandb")


def loaded_by(*words):
    """Return the modules that a process loads, and what it prints."""
    command = [sys.executable, "-X", "importtime", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(re.findall(r"^import time:.*\|\s*(\S+)$", done.stderr, re.MULTILINE)), done.stdout


@pytest.mark.parametrize(
    "module",
    ["ranking", "report.figures", "report.compare", "analysis.evidence", "storage.run_folder"],
)
def test_files_and_figures_of_a_run_need_neither_torch_nor_what_draws_them(module):
    name = f"naswot_lightning.{module}"
    loaded, _ = loaded_by("-c", f"import {name}")
    assert name in loaded
    assert not loaded.intersection(HEAVY)


@pytest.mark.parametrize(("script", "option"), [("search.py", "--samples"), ("train.py", "--recipe")])
@pytest.mark.parametrize("ask", ["--help", "--print_config"])
def test_help_and_configuration_load_no_torch(script, option, ask):
    loaded, printed = loaded_by(script, ask)
    assert (option if ask == "--help" else option.removeprefix("--") + ":") in printed
    assert "naswot_lightning.config" in loaded
    assert not loaded.intersection(HEAVY)


def test_help_names_what_the_registries_hold():
    _, printed = loaded_by("search.py", "--help")
    words = " ".join(printed.split())
    for name in ("nasbench201", "nds_darts", "random", "digits", "imagenet16-120", "synflow", "rectified_units"):
        assert name in words
    _, printed = loaded_by("train.py", "--help")
    assert "nasbench101-108" in " ".join(printed.split())
    assert not [name for name in choices() if f"{{{name}}}" in words + printed]  # every placeholder is filled in


def test_the_packages_themselves_load_no_torch():
    loaded, _ = loaded_by("-c", "import search, train, naswot_lightning, spaces")
    assert {"search", "train", "spaces"} <= loaded
    assert not loaded.intersection(HEAVY)
