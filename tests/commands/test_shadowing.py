"""A folder that a command is run in may hold files with the names of libraries: they are not run."""

import os
import sys

import pytest

from tests.conftest import run_script

NAMES = ("yaml", "signal", "torch", "wandb", "queue", "pydantic", "naswot_lightning")
SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 knows no safe path")
@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("search.py", ["--samples", "4", "--batch_size", "16", "--workers", "2"]),
        ("train.py", ["--architecture", SMALL, "--epochs", "1", "--batch_size", "200"]),
    ],
)
def test_neither_workers_nor_picks_import_from_the_working_directory(tmp_path, script, options):
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w').write('{name}')\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = run_script(script, *options, "--run_dir", "run", "--wandb.mode", "disabled", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "canary").exists()
    assert (tmp_path / "run" / ("ranking.json" if script == "search.py" else "comparison.csv")).exists()
