import pytest

from naswot_lightning.cli.parser import run_command
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig


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
    monkeypatch.chdir(tmp_path)
    code = run_command(run_search, SearchConfig, "search.py", ["--run_dir", str(tmp_path / "run"), *arguments])
    captured = capsys.readouterr()
    assert code == 2
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_read_only_place(capsys):
    code = run_command(run_search, SearchConfig, "search.py", ["--run_dir", "/proc/run", "--samples", "2"])
    error = capsys.readouterr().err
    assert code == 2
    assert error.count("\n") == 1
    assert "/proc/run" in error


def test_unknown_keys_of_a_file_are_errors(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("samples: 5\nspaec: nasbench201\n")
    assert run_command(run_search, SearchConfig, "search.py", ["--config", str(tmp_path / "c.yaml")]) == 2
    assert "unknown option --spaec; did you mean --space?" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "nonsense\n", "index,arch\n1,oops\n", "\xff\n"])
def test_a_bad_list_of_architectures_leaves_nothing(tmp_path, capsys, content):
    (tmp_path / "list").write_bytes(content.encode("latin-1"))
    words = ["--run_dir", str(tmp_path / "run"), "--architectures", str(tmp_path / "list")]
    assert run_command(run_search, SearchConfig, "search.py", words) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["list"]


def test_a_bad_list_of_architectures_leaves_a_finished_run_as_it_was(tmp_path, capsys):
    run = tmp_path / "run"
    words = ["--run_dir", str(run), "--samples", "2", "--batch_size", "4", "--wandb.mode", "disabled"]
    assert run_command(run_search, SearchConfig, "search.py", words) == 0
    before = contents(run)
    (tmp_path / "list").write_text("nonsense\n")
    words += ["--architectures", str(tmp_path / "list"), "--overwrite"]
    assert run_command(run_search, SearchConfig, "search.py", words) == 2
    assert contents(run) == before


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
