"""Terminals, pipes, Ctrl-C and an installation that cannot be written."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from naswot_lightning.cli.parser import run_command
from naswot_lightning.config import SearchConfig
from tests.conftest import ROOT, run_script, slow

QUICK = ("--samples", "3", "--batch_size", "4", "--wandb.mode", "disabled")


def shell(line, folder, **environment):
    """Run a line of a shell in which $SEARCH is a short search; the exit code is that of the search."""
    words = " ".join((sys.executable, str(ROOT / "search.py"), *QUICK))
    return subprocess.run(
        ["bash", "-c", "set -o pipefail; " + line], cwd=folder, env={**os.environ, "SEARCH": words, **environment},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("end", [">&- 2>&-", *slow("| head -1", "| true", "2>&-", ">&-")])
def test_whoever_reads_the_output_the_search_is_complete_and_quiet(tmp_path, end):
    done = shell(f"$SEARCH --run_dir run {end}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert len(json.loads((tmp_path / "run" / "ranking.json").read_text())) == 3


def test_an_odd_environment_costs_a_view_and_one_line(tmp_path):
    odd = {"HOME": "/dev/null", "MPLBACKEND": "odd", "WANDB_MODE": "odd"}
    without_letters = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = shell("$SEARCH --wandb.mode auto --run_dir 'ünï-✓-网'", tmp_path, **odd, **without_letters)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("wandb cannot start (")
    assert done.stdout.endswith("report.html\n")
    assert (tmp_path / "ünï-✓-网" / "figures" / "score_distribution.png").exists()


@pytest.mark.parametrize("line", ["NUMBA_DISABLE_JIT=1", "ulimit -v 2500000;", *slow("NUMBA_NUM_THREADS=0")])
def test_what_no_library_can_be_loaded_with_is_one_line(tmp_path, line):
    done = shell(f"{line} $SEARCH --run_dir run", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert line.partition("=")[0].partition(" 2")[0] in done.stderr


def interrupted_after(seconds, folder, *words):
    command = [sys.executable, str(ROOT / "search.py"), *QUICK, "--run_dir", str(folder / "run"), *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=240)
    return process.returncode, error


def assert_quiet_end(code, error):
    assert "Traceback" not in error, error
    assert code in (0, 130) or (code, error) == (-signal.SIGINT, "")  # Python had not begun


@pytest.mark.parametrize("seconds", [0.8, *slow(*(0.1 + 2.9 * n / 19 for n in range(20)))])
def test_ctrl_c_while_libraries_load_is_one_line(tmp_path, seconds):
    # Before the first line of the script runs, the interpreter itself answers.
    assert_quiet_end(*interrupted_after(seconds, tmp_path))


def test_ctrl_c_while_a_class_is_made_is_an_interrupt(capsys):
    class Interrupting:
        def __set_name__(self, owner, name):
            raise KeyboardInterrupt

    def load_late(config):
        type("Late", (), {"name": Interrupting()})

    assert run_command(load_late, SearchConfig, "naswot search", []) == 130
    assert capsys.readouterr().err == "naswot search: error: interrupted; run the same command again to continue\n"


def test_any_other_error_of_a_command_is_not_hidden():
    def fail(config):
        raise RuntimeError("a fault") from ValueError("of ours")

    with pytest.raises(RuntimeError, match="a fault"):
        run_command(fail, SearchConfig, "naswot search", [])


@pytest.mark.parametrize("temporary", ["private", "unusable"])
@pytest.mark.slow
def test_installation_that_cannot_be_written_keeps_its_cache_elsewhere_or_nowhere(tmp_path, temporary):
    """The packages, in each of whose folders numba can make no cache."""
    installation = tmp_path / "installation"
    for package in ("naswot_lightning", "callbacks", "spaces"):
        shutil.copytree(ROOT / package, installation / package, ignore=shutil.ignore_patterns("__pycache__"))
        for path in [installation / package, *(installation / package).rglob("*/")]:
            (path / "__pycache__").write_text("")
    shutil.copy(ROOT / "search.py", installation)
    nowhere = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null/x", "PYTHONPATH": str(installation)}
    (tmp_path / "private").mkdir()
    if temporary == "unusable":  # somebody else could write it: what is read from a cache is run
        (tmp_path / "private" / f"naswot-lightning-{os.getuid()}").mkdir()
        (tmp_path / "private" / f"naswot-lightning-{os.getuid()}").chmod(0o777)
    environment = {**os.environ, **nowhere, "TMPDIR": str(tmp_path / "private"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = run_script(installation / "search.py", *QUICK, "--run_dir", tmp_path / "run", env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("compiled functions are kept in") == 1
    assert "Traceback" not in done.stderr
    kept = list(tmp_path.glob("private/*/**/*.nbi"))
    assert bool(kept) == (temporary == "private")
