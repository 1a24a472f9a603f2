"""What a person sees of ``make quickstart``."""

import os
import subprocess
import sys
import tempfile

import pytest

from tests.conftest import ROOT


@pytest.mark.slow  # two minutes: the quick start
def test_the_quick_start_fits_one_screen_and_ends_with_the_verdict_and_what_to_open():
    # A folder with a name like that of a reader: lines must not be broken for a long one.
    with tempfile.TemporaryDirectory() as folder:
        run = f"{folder}/quick"
        command = ["make", "quickstart", f"RUN_DIR={run}", "-o", ".venv/.installed"]
        environment = {**os.environ, "WANDB_MODE": "offline"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert len(lines) < 50, done.stdout
    assert last == f"Report: {run}/report.html"
    at_the_end = " ".join(done.stdout.split())[-900:]
    assert "Too little evidence to say whether the score beats model size: 3 networks are too few" in at_the_end
    assert "random candidates: test accuracy" in at_the_end
    assert "Best: pick " in at_the_end


def test_the_line_after_a_bar_is_a_line_of_its_own():
    """Where Python does not buffer, tqdm's last newline must not wait for the next text."""
    code = (
        "from naswot_lightning.console import harden_streams; harden_streams()\n"
        "from tqdm import tqdm\n"
        "for _ in tqdm(range(3)): pass\n"
        "print('title')"
    )
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    )
    *_, bar, title = done.stdout.splitlines()
    assert (bar[:4], title) == ("100%", "title")
