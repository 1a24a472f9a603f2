import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.slow  # five seconds, to load all parts
def test_an_unknown_part_is_one_line_and_code_2():
    command = [sys.executable, "-m", "bench", "trainings"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unknown part 'trainings'" in done.stderr
    assert "did you mean 'training'" in done.stderr
    assert done.stderr.count("\n") == 1
