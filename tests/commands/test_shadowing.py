"""A folder that a command is run in may hold files with the names of libraries: they are not run."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT, slow

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 knows no safe path")
NAMES = ("yaml", "signal", "torch", "wandb", "queue", "pydantic", "naswot_lightning")
SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"


@pytest.fixture
def foreign(tmp_path):
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w').write('{name}')\n")
    return tmp_path


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("search.py", ["--samples", "4", "--batch_size", "16", "--workers", "2"]),
        ("train.py", ["--architecture", SMALL, "--epochs", "1", "--batch_size", "200"]),
    ],
)
@pytest.mark.slow
def test_neither_workers_nor_picks_import_from_it(foreign, script, options):
    command = [sys.executable, str(ROOT / script), *options, "--run_dir", "run", "--wandb.mode", "disabled"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(command, cwd=foreign, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (foreign / "canary").exists()
    assert (foreign / "run" / ("ranking.json" if script == "search.py" else "comparison.csv")).exists()


@pytest.mark.parametrize("name", ["picks", *slow("figures", "wandb", ".images")])
def test_a_folder_of_a_run_is_never_a_link(tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(tmp_path / "elsewhere")
    command = [sys.executable, str(ROOT / "train.py"), "--architecture", SMALL, "--epochs", "1", "--run_dir", "run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{name} is a link where a run keeps a folder" in done.stderr
    assert list((tmp_path / "elsewhere").iterdir()) == []
