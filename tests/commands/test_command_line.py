import subprocess
import sys

import pytest

from naswot_lightning.config import SearchConfig
from naswot_lightning.search import run_search
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--space", "nasbench202"], "unknown space 'nasbench202', expected one of nasbench201"),
        (["--dataset", "cifar11"], "did you mean 'cifar10'?"),
        (["--score", "naswto"], "did you mean 'naswot'?"),
        (["--algorithm", "rnd"], "expected one of random"),
        (["--sampels", "3"], "unknown option --sampels; did you mean --samples?"),
        (["--samples", "many"], "--samples: expected int or ['all'], got many"),
        (["--batch_size", "1"], "--batch_size 1: expected at least 2"),
        (["--samples", "0"], "--samples 0: expected at least 1"),
        (["--device", "cuda:77"], "--device cuda:77"),
        (["--config", "absent.yaml"], "absent.yaml"),
        (["--dataset", "imagefolder", "--data_dir", "absent"], "absent has no train/ folder"),
        (["--architectures", "absent.txt"], "--architectures absent.txt: no such file"),
        (["--wandb.mode", "maybe"], "--wandb.mode"),
    ],
)
def test_bad_input_is_one_line_and_code_2(arguments, message, tmp_path, capsys, monkeypatch):
    from naswot_lightning.command_line import run_command

    monkeypatch.chdir(tmp_path)
    code = run_command(run_search, SearchConfig, "search.py", ["--run_dir", str(tmp_path / "run"), *arguments])
    captured = capsys.readouterr()
    assert code == 2
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_read_only_place(capsys):
    from naswot_lightning.command_line import run_command

    code = run_command(run_search, SearchConfig, "search.py", ["--run_dir", "/proc/run", "--samples", "2"])
    error = capsys.readouterr().err
    assert code == 2
    assert error.count("\n") == 1
    assert "/proc/run" in error


def test_unknown_keys_of_a_file_are_errors(tmp_path, capsys):
    from naswot_lightning.command_line import run_command

    (tmp_path / "c.yaml").write_text("samples: 5\nspaec: nasbench201\n")
    assert run_command(run_search, SearchConfig, "search.py", ["--config", str(tmp_path / "c.yaml")]) == 2
    assert "unknown option --spaec; did you mean --space?" in capsys.readouterr().err


def test_help_does_not_load_torch():
    code = "import sys, search, train, naswot_lightning, spaces; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
