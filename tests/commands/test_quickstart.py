"""What a person sees of ``make quickstart``."""

import os
import sys
import tempfile

import pytest

from tests.conftest import ROOT
from tests.terminal import seen

ONE_SCREEN = 45


@pytest.mark.slow  # three minutes: the quick start
@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (140, 50)])
def test_the_quick_start_fits_one_screen_and_ends_with_the_verdict_and_what_to_open(columns, rows):
    # A folder with a name like that of a reader: lines must not be broken for a long one.
    with tempfile.TemporaryDirectory() as folder:
        run = f"{folder}/quick"
        command = ["make", "quickstart", f"RUN_DIR={run}", "-o", ".venv/.installed"]
        code, lines = seen(command, columns, rows, cwd=ROOT, env={**os.environ, "WANDB_MODE": "offline"})
    printed = "\n".join(lines).rstrip()
    assert code == 0, printed
    assert len(printed.splitlines()) <= ONE_SCREEN, printed
    assert max(map(len, lines)) <= columns
    *_, last = printed.splitlines()
    assert last == f"Report: {run}/report.html"
    at_the_end = " ".join(printed.split())[-420:]
    assert "Too little evidence to say whether the score beats model size: 3 networks are too few" in at_the_end


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_the_line_after_a_bar_is_a_line_of_its_own(unbuffered):
    """Where Python does not buffer, tqdm's last newline must not wait for the next text."""
    code = (
        "from naswot_lightning.console import harden_streams; harden_streams()\n"
        "from tqdm import tqdm\n"
        "for _ in tqdm(range(3)): pass\n"
        "print('title')"
    )
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    ended, lines = seen([sys.executable, "-c", code], 80, 24, cwd=ROOT, env=environment)
    assert ended == 0
    assert lines[0].startswith("100%")
    assert lines[1:] == ["title", ""]
