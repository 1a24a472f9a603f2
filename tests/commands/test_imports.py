"""What costs seconds to load is loaded by what needs it."""

import re
import subprocess
import sys

import pytest

from naswot_lightning.cli.parser import choices
from tests.conftest import ROOT

HEAVY = ("torch", "numba", "matplotlib", "wandb")
FILES_OF_A_RUN = ("ranking", "report.figures", "report.compare", "analysis.evidence", "storage.run_folder")


def loaded_by(*words):
    """Return the modules that a process loads, and what it prints."""
    command = [sys.executable, "-X", "importtime", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(re.findall(r"^import time:.*\|\s*(\S+)$", done.stderr, re.MULTILINE)), done.stdout


def test_packages_and_files_and_figures_of_a_run_need_neither_torch_nor_what_draws_them():
    names = ["search", "train", "naswot_lightning", "spaces", *(f"naswot_lightning.{each}" for each in FILES_OF_A_RUN)]
    loaded, _ = loaded_by("-c", f"import {', '.join(names)}")
    assert set(names) <= loaded
    assert not loaded.intersection(HEAVY)


def test_help_of_a_report_loads_neither_torch_nor_what_draws():
    loaded, printed = loaded_by("-m", "naswot_lightning.report", "--help")
    assert "score_vs_params" in printed
    assert not loaded.intersection(HEAVY)


@pytest.mark.parametrize(("script", "option"), [("search.py", "--samples"), ("train.py", "--recipe")])
def test_help_and_configuration_load_no_torch_and_name_what_the_registries_hold(script, option):
    for ask, expected in (("--help", option), ("--print_config", option.removeprefix("--") + ":")):
        loaded, printed = loaded_by(script, ask)
        assert expected in printed
        assert "naswot_lightning.config" in loaded
        assert not loaded.intersection(HEAVY)
        if ask == "--help":
            words = " ".join(printed.split())
            named = ("nasbench201", "nds_darts", "random", "digits", "synflow") if script == "search.py" else ()
            for name in (*named, *(("nasbench101-108",) if script == "train.py" else ())):
                assert name in words
            # Every placeholder is filled in.
            assert not [name for name in choices() if f"{{{name}}}" in words]
