"""What make says where it cannot install: one line with its cure, exit code 2, and the next make tries again."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

UNREACHABLE = {
    "PIP_INDEX_URL": "http://127.0.0.1:9/",
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_FIND_LINKS": "",
    "PIP_RETRIES": "0",
    "NO_PROXY": "*",
}


@pytest.fixture
def clone(tmp_path):
    for name in ("Makefile", "install.sh", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def make(clone, *words, **environment):
    """Make fails; what it prints, and the one line that it says."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE"))}
    done = subprocess.run(
        ["make", *words], cwd=clone, env={**inherited, **environment}, capture_output=True, text=True, check=False
    )
    # Make itself names the rule that failed.
    (said,) = (line for line in done.stderr.splitlines() if not line.startswith("make"))
    assert done.returncode == 2
    return done.stdout.splitlines(), said


def python_that(clone, statement):
    """Return an interpreter that runs a statement before what it is given by -c."""
    program = clone / "python-of-the-test"
    program.write_text(f'#!/bin/sh\n[ "$1" = -c ] && set -- -c "{statement}\n$2"\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    return program


def test_make_without_a_python_that_can_do_names_the_cure(clone):
    named = "install Python 3.10 or newer, or name one: make PYTHON=/path/to/python3"
    for target, python, said in (
        ("quickstart", "python-that-is-not-there", f"not found: {named}"),
        ("test", "python-that-is-not-there", f"not found: {named}"),
        (
            "quickstart",
            "import sys; sys.version_info = (3, 9, 2)",
            "is Python 3.9, expected 3.10 or newer: make PYTHON=",
        ),
        ("quickstart", "import sys; sys.modules['ensurepip'] = None", "has no venv module: apt install python3-venv"),
    ):
        program = python_that(clone, python) if " " in python else python
        printed, line = make(clone, target, f"PYTHON={program}")
        assert line.startswith(f"install: {program} {said}")
        assert not printed
        assert not (clone / ".venv").exists()
    (clone / ".venv" / "bin").mkdir(parents=True)
    python_that(clone, "import sys; sys.version_info = (3, 8, 1)").rename(clone / ".venv" / "bin" / "python")
    expected = (
        "install: .venv was made with Python 3.8, expected 3.10 or newer: make clean, then make PYTHON=python3.12"
    )
    assert make(clone, "quickstart")[1] == expected


@pytest.mark.slow  # makes an environment, twice asks an index that is not there
def test_no_network_and_the_next_make_tries_again(clone):
    """An environment whose making was cut off before it had pip is made anew on the way."""
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to("/no/python/here")
    for _ in range(2):
        printed, said = make(clone, "quickstart", f"PYTHON={sys.executable}", **UNREACHABLE)
        assert printed == ["Installing into .venv: some minutes the first time, torch is large"]
        assert said.startswith("install: no package index could be reached, or it has no setuptools>=77: check")
        assert "PIP_INDEX_URL" in said
        assert "setuptools" in (clone / ".venv" / "install.log").read_text()
        assert not (clone / ".venv" / ".installed").exists()


def test_make_says_in_one_line_what_pip_said(clone):
    """An environment with a pip that says what a test wants."""
    program = clone / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    full = "Could not install packages due to an OSError: [Errno 28] No space left on device"
    for text, said in (
        (
            "  ERROR: Could not find a version that satisfies the requirement setuptools>=77 (from versions: none)",
            "no package index could be reached, or it has no setuptools>=77: check the network,",
        ),
        (f"ERROR: {full}\n\nmore", f"{full} (pip's own words:"),
        (
            "ERROR: Cannot install torch==9: conflict\nERROR: ResolutionImpossible: for help visit a page",
            "Cannot install torch==9: conflict (pip's own words:",
        ),
        (
            "Traceback\n  more\npip._vendor.urllib3.exceptions.ReadTimeoutError: Read timed out.",
            "the connection to the package index broke: check the network,",
        ),
    ):
        (clone / "said").write_text(text + "\n")
        program.write_text('#!/bin/sh\ncase "$*" in *install*) cat said; exit 1;; esac\n')
        program.chmod(0o755)
        assert make(clone, "quickstart")[1].startswith(f"install: {said}")
