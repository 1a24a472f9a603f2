"""Code that a file names runs only where the user says so."""

import itertools
import json
import shutil
import sys
from contextlib import contextmanager

import pytest
import torch
import yaml

from naswot_lightning import spaces
from naswot_lightning.cli.parser import parse, run_command
from naswot_lightning.config import SearchConfig, TrainConfig
from naswot_lightning.training.plan import plan_training
from tests.commands.ends import COMMANDS, contents, refused
from tests.commands.own_space import CODE
from tests.images import make_image_folder

MODULE = "foreign_space_of_a_test"
SPACE = f"{MODULE}.Tiny"
QUICK = ("--dataset", "imagefolder", "--data_dir", "images", "--wandb.mode", "disabled")
TRAINING = ("--epochs", 1, "--batch_size", 8, "--probe_batch_size", 4, "--early_points", 0, *QUICK)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with an own space, and a run of it whose best was trained."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / f"{MODULE}.py").write_text(CODE)
    make_image_folder(folder / "images", {"train": 8, "test": 2})
    words = ["--space", SPACE, "--samples", 3, "--batch_size", 8, "--run_dir", "run", *QUICK]
    with new_process(folder):
        assert COMMANDS["search.py"](list(map(str, words))) == 0
    # The pick has a process of its own, which imports the space again.
    words = ["--trust", "--top", 1, "--run_dir", "run", *TRAINING]
    with new_process(folder):
        assert COMMANDS["train.py"](list(map(str, words))) == 0
    return folder


@contextmanager
def new_process(folder):
    """Be one in this folder, so far as what is imported and trusted is concerned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setattr(spaces.own_code, "_trusted", set())
        patch.setattr(spaces, "_made", {})
        yield
    sys.modules.pop(MODULE, None)


@pytest.fixture
def place(trained, tmp_path):
    """The same, as somebody else's: nothing of it was imported yet, and no pick is trained."""
    shutil.copytree(trained, tmp_path / "place", ignore=shutil.ignore_patterns("canary", "picks"))
    with new_process(tmp_path / "place"):
        yield tmp_path / "place"


def test_own_space_is_searched_where_it_is_named_and_trained_where_it_is_trusted(trained):
    results = [json.loads(path.read_text()) for path in trained.glob("run/picks/*/result.json")]
    assert [(each["space"], each["status"]) for each in results] == [(SPACE, "ok")]


def test_run_folder_imports_nothing_and_the_line_names_both_cures(place, capsys):
    before = contents(place)
    for words in (("--top", 1, "--overwrite"), ("--architecture", "a")):
        error = refused(capsys, "train.py", "--run_dir", "run", *words, *TRAINING)
        assert f"space {SPACE}: a file names this code" in error
        assert f"--space {SPACE}" in error
        assert "--trust" in error
    assert contents(place) == before
    words = ["--run_dir", "run", "--space", SPACE, "--top", "1", *map(str, TRAINING)]
    assert plan_training(parse(TrainConfig, words, "naswot train")).picks[0].settings.space == SPACE
    saved = yaml.safe_load((place / "run" / "config.yaml").read_text())
    (place / "run" / "config.yaml").write_text(yaml.safe_dump({**saved, "space": "other_module_of_a_test.Space"}))
    # The cure of another space is none.
    error = refused(capsys, "train.py", "--run_dir", "run", "--space", SPACE, "--top", 1, *TRAINING)
    assert "other_module_of_a_test.Space" in error


def test_file_of_options_imports_nothing_without_a_cure(place, capsys):
    (place / "own.yaml").write_text(yaml.safe_dump({"space": SPACE, "run_dir": "new", "architecture": "a"}))
    before = contents(place)
    assert "a file names this code" in refused(capsys, "train.py", "--config", "own.yaml")
    assert "a file names this code" in refused(capsys, "search.py", "--config", "run/config.yaml")
    assert contents(place) == before
    for cure in (("--space", SPACE), ("--trust",)):
        assert parse(SearchConfig, ["--config", "run/config.yaml", *cure], "naswot search").space == SPACE
    assert COMMANDS["search.py"](["--config", "run/config.yaml", "--trust"]) == 0
    assert (place / "canary").exists()


def test_file_of_options_chooses_nothing_that_runs_on_a_cluster(tmp_path, capsys):
    for kind, (options, name) in itertools.product((SearchConfig, TrainConfig), (
        ({"engine": "slurm"}, "engine"),
        ({"slurm": {"setup": ["touch x"], "qos": "x"}}, "slurm"),
        ({"slurm": {"partition": "x"}}, "slurm"),
    )):  # fmt: skip
        (tmp_path / "own.yaml").write_text(yaml.safe_dump({"run_dir": "new", **options}))
        words = ["--slurm.qos", "y", f"--config={tmp_path / 'own.yaml'}"]
        words += ["--engine", "slurm"] if name == "slurm" else []
        assert run_command(None, kind, "x.py", words) == 2
        error = capsys.readouterr().err
        assert f"error: {name} " in error
        assert "a file chooses what would run on a cluster" in error
        assert parse(kind, [*words, "--trust"], "x.py").engine == "slurm"
        assert parse(kind, [*words, "--engine", "local"], "x.py").engine == "local"


def test_checkpoint_imports_nothing_until_its_space_is_trusted(trained, place):
    from naswot_lightning.training.classifier import ImageClassifier

    checkpoint = next(trained.glob("run/picks/*/best.ckpt"))
    for name in (SPACE, f"{SPACE}:width=4"):
        saved = torch.load(checkpoint, weights_only=True)
        saved["hyper_parameters"]["space"] = name
        torch.save(saved, place / "foreign.ckpt")
        with pytest.raises(spaces.SpaceError, match=rf"spaces.trust\('{SPACE}'\)"):
            ImageClassifier.load_from_checkpoint(place / "foreign.ckpt", weights_only=True)
        assert not (place / "canary").exists()
    spaces.trust(SPACE)
    loaded = ImageClassifier.load_from_checkpoint(place / "foreign.ckpt", weights_only=True)
    assert (place / "canary").exists()
    assert loaded(torch.zeros(2, 3, 8, 8)).shape == (2, 3)


def test_import_path_that_is_no_space_is_not_called_with_the_users_options(place, capsys):
    for name in (
        "torch.hub.download_url_to_file:url=file:///etc/hostname,dst=written", "subprocess.Popen:args=touch written",
        "os.system", "builtins.exec", "naswot_lightning.storage.files.atomic_write", "spaces.get_space",
        "torchvision.models.resnet18", f"{MODULE}.Other", f"{MODULE}.makedirs", f"{MODULE}.partial",
        "naswot_lightning.spaces.base.Space", "...:a=b", "a..b", "/etc/passwd", f"../{SPACE}",
    ):  # fmt: skip
        words = ("--space", name, "--samples", 1, "--batch_size", 4, "--run_dir", "new")
        assert "expected" in refused(capsys, "search.py", *words), name
    assert not {"written", "called", "new"}.intersection(path.name for path in place.iterdir())
