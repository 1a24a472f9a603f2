"""What make says where it cannot install: one line with its cure, exit code 2, and the next make tries again."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT


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


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def python_that(path, statement):
    """Return an interpreter that runs a statement before what it is given by -c."""
    return program(path, f'[ "$1" = -c ] && set -- -c "{statement}\n$2"\nexec {sys.executable} "$@"')


def test_make_without_a_python_that_can_do_names_the_cure(clone):
    for statement, said in (
        (None, "not found: install Python 3.10 or newer, or name one: make PYTHON=/path/to/python3"),
        ("import sys; sys.version_info = (3, 9, 2)", "is Python 3.9, expected 3.10 or newer: make PYTHON="),
        ("import sys; sys.modules['ensurepip'] = None", "has no venv module: apt install python3-venv"),
    ):
        python = python_that(clone / "python", statement) if statement else "python-that-is-not-there"
        printed, line = make(clone, "quickstart", f"PYTHON={python}")
        assert line.startswith(f"install: {python} {said}")
        assert not printed
        assert not (clone / ".venv").exists()
    python_that(clone / ".venv" / "bin" / "python", "import sys; sys.version_info = (3, 8, 1)")
    expected = "install: .venv was made with Python 3.8, expected 3.10 or newer: make clean, then make PYTHON="
    assert make(clone, "quickstart")[1].startswith(expected)


def test_make_says_in_one_line_what_pip_said(clone):
    """An environment with a pip that says what a test wants."""
    full = "Could not install packages due to an OSError: [Errno 28] No space left on device"
    missing = "  ERROR: Could not find a version that satisfies the requirement setuptools>=77 (from versions: none)"
    program(clone / ".venv" / "bin" / "python", 'case "$*" in *install*) cat said; exit 1;; esac')
    for text, said in (
        (missing, "no package index could be reached, or it has no setuptools>=77: check the network,"),
        (f"ERROR: {full}\n\nmore", f"{full} (pip's own words:"),
        ("more\npip.ReadTimeoutError: timed out.", "the connection to the package index broke: check the network,"),
    ):
        (clone / "said").write_text(text + "\n")
        assert make(clone, "quickstart")[1].startswith(f"install: {said}")
