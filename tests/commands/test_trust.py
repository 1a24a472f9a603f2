"""Code that a file names runs only where the user says so."""

import json
import shutil

import pytest
import torch
import yaml

from naswot_lightning.cli.parser import parse, run_command
from naswot_lightning.config import SearchConfig, TrainConfig
from tests.commands.ends import assert_one_line, contents, run
from tests.commands.own_space import CODE
from tests.images import make_image_folder

SPACE = "foreign_space_of_a_test.Tiny"
QUICK = ("--dataset", "imagefolder", "--data_dir", "images", "--wandb.mode", "disabled")
TRAINING = ("--epochs", 1, "--batch_size", 8, "--probe_batch_size", 4, "--early_points", 0, *QUICK)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with an own space, and a run of it whose two best were trained."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "foreign_space_of_a_test.py").write_text(CODE)
    make_image_folder(folder / "images", {"train": 8, "test": 2})
    found = run(
        "search.py", "--space", SPACE, "--samples", 3, "--batch_size", 8, "--run_dir", "run", *QUICK, cwd=folder
    )
    assert found.returncode == 0, found.stderr
    # Each pick has a process of its own, which imports the space again.
    done = run("train.py", "--space", SPACE, "--top", 2, "--run_dir", "run", *TRAINING, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def place(trained, tmp_path):
    """The same, as somebody else's: nothing of it was imported yet, and no pick is trained."""
    shutil.copytree(trained, tmp_path / "place")
    (tmp_path / "place" / "canary").unlink()
    shutil.rmtree(tmp_path / "place" / "run" / "picks")
    return tmp_path / "place"


def test_an_own_space_that_the_command_line_names_is_searched_and_trained(trained):
    results = [json.loads(path.read_text()) for path in trained.glob("run/picks/*/result.json")]
    assert [(each["space"], each["status"]) for each in results] == [(SPACE, "ok")] * 2


def test_a_run_folder_imports_nothing_and_the_line_names_both_cures(place):
    before = contents(place)
    for words in (("--top", 1, "--overwrite"), ("--architecture", "a")):
        done = run("train.py", "--run_dir", "run", *words, *TRAINING, cwd=place)
        assert_one_line(done, f"space {SPACE}: a file names this code", f"--space {SPACE}", "--trust")
    assert contents(place) == before


@pytest.mark.parametrize("cure", [pytest.param(("--space", SPACE), marks=pytest.mark.slow), ("--trust",)])
def test_each_cure_works(place, cure):
    done = run("train.py", "--run_dir", "run", "--top", 1, *cure, *TRAINING, cwd=place)
    assert done.returncode == 0, done.stderr
    assert len(list(place.glob("run/picks/*/result.json"))) == 1


@pytest.mark.parametrize("script", ["search.py", "train.py"])
def test_a_file_of_options_imports_nothing(place, script):
    own = {"space": SPACE, "run_dir": "new"} | ({"architecture": "a"} if script == "train.py" else {})
    (place / "own.yaml").write_text(yaml.safe_dump(own))
    before = contents(place)
    done = run(script, "--config", "own.yaml", cwd=place)
    assert_one_line(done, "a file names this code", "--trust")
    assert contents(place) == before
    assert not (place / "canary").exists()


@pytest.mark.parametrize("cure", [pytest.param(("--space", SPACE), marks=pytest.mark.slow), ("--trust",)])
def test_a_file_of_options_is_searched_with_each_cure(place, cure):
    done = run("search.py", "--config", "run/config.yaml", *cure, cwd=place)
    assert done.returncode == 0, done.stderr
    assert (place / "canary").exists()


COMMANDS = {"setup": ["touch x"], "qos": "x"}


@pytest.mark.parametrize("kind", [SearchConfig, TrainConfig])
@pytest.mark.parametrize(
    ("options", "name"),
    [({"engine": "slurm"}, "engine"), ({"slurm": COMMANDS}, "slurm"), ({"slurm": {"partition": "x"}}, "slurm")],
)
def test_a_file_of_options_chooses_nothing_that_runs_on_a_cluster(tmp_path, capsys, kind, options, name):
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"run_dir": "new", **options}))
    words = ["--slurm.qos", "y", f"--config={tmp_path / 'own.yaml'}"]
    words += ["--engine", "slurm"] if name == "slurm" else []
    assert run_command(None, kind, "x.py", words) == 2
    assert f"error: {name} " in (error := capsys.readouterr().err)
    assert "a file names what would run on a cluster" in error
    assert parse(kind, [*words, "--trust"], "x.py").engine == "slurm"
    assert parse(kind, [*words, "--engine", "local"], "x.py").engine == "local"


def test_the_cure_of_another_space_is_none(place):
    saved = yaml.safe_load((place / "run" / "config.yaml").read_text())
    (place / "run" / "config.yaml").write_text(yaml.safe_dump({**saved, "space": "other_module_of_a_test.Space"}))
    done = run("train.py", "--run_dir", "run", "--space", SPACE, "--top", 1, *TRAINING, cwd=place)
    assert_one_line(done, "other_module_of_a_test.Space")


def test_a_checkpoint_imports_nothing_until_its_space_is_trusted(trained, tmp_path, monkeypatch):
    import spaces
    from naswot_lightning.training.classifier import ImageClassifier

    shutil.copy(trained / "foreign_space_of_a_test.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    checkpoint = next(trained.glob("run/picks/*/best.ckpt"))
    for name in (SPACE, f"{SPACE}:width=4"):
        saved = torch.load(checkpoint, weights_only=True)
        saved["hyper_parameters"]["space"] = name
        torch.save(saved, tmp_path / "foreign.ckpt")
        with pytest.raises(spaces.SpaceError, match=r"spaces.trust\('foreign_space_of_a_test.Tiny'\)"):
            ImageClassifier.load_from_checkpoint(tmp_path / "foreign.ckpt", weights_only=True)
        assert not (tmp_path / "canary").exists()
    monkeypatch.setattr(spaces, "_trusted", set())
    spaces.trust(SPACE)
    loaded = ImageClassifier.load_from_checkpoint(tmp_path / "foreign.ckpt", weights_only=True)
    assert (tmp_path / "canary").exists()
    assert loaded(torch.zeros(2, 3, 8, 8)).shape == (2, 3)


NO_SPACES = [
    "torch.hub.download_url_to_file:url=file:///etc/hostname,dst=written",
    "subprocess.Popen:args=touch written",
    "subprocess.run",
    "os.path.join",
    "os.system",
    "builtins.exec",
    "shutil.rmtree",
    "naswot_lightning.storage.files.atomic_write",
    "spaces.get_space",
    "spaces.trust",
    "torchvision.models.resnet18",
    "foreign_space_of_a_test.Other",
    "foreign_space_of_a_test.makedirs",
    "foreign_space_of_a_test.partial",
    "spaces.base.Space",
    ".",
    "..",
    "...:a=b",
    "a..b",
    "/etc/passwd",
    "../foreign_space_of_a_test.Tiny",
]
EACH_IN_TURN = """
import sys
from naswot_lightning.cli.parser import run_command
from naswot_lightning.config import SearchConfig
from naswot_lightning.cli.search import run_search
for space in sys.argv[1:]:
    words = ["--space", space, "--samples", "1", "--batch_size", "4", "--run_dir", "new"]
    assert run_command(run_search, SearchConfig, "search.py", words) == 2, space
"""


def test_what_makes_no_space_is_not_called_even_where_the_command_line_names_it(place):
    """What an installed library holds is not called with the user's options."""
    (place / "each.py").write_text(EACH_IN_TURN)
    done = run(place / "each.py", *NO_SPACES, cwd=place)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(NO_SPACES)
    assert all("expected" in line for line in lines), done.stderr
    assert not {"written", "called", "new"}.intersection(path.name for path in place.iterdir())
