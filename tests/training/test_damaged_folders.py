"""Checkpoints that are cut or lost, damaged settings of a pick, a full disk."""

import shutil
import subprocess
import zipfile

import pytest
import torch

from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.training.checkpoints import checkpoint_to_resume
from naswot_lightning.training.classifier import ImageClassifier
from spaces import trust
from tests.commands.ends import assert_one_line
from tests.images import make_image_folder
from tests.training.hurried import outcome_of, train

EPOCHS = ("--epochs", 4)
CHANGES = ("other shape", "more weights", "fewer weights", "optimizer_states", "loops")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_image_folder(tmp_path_factory.mktemp("data") / "images", {"train": 20, "test": 4})


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = train(folder, data, *EPOCHS)
    assert done.returncode == 0, done.stderr
    return folder


def change(path, how):
    saved = torch.load(path, weights_only=True)
    name = next(name for name, weight in saved["state_dict"].items() if weight.ndim)
    if how == "other shape":
        saved["state_dict"][name] = torch.zeros(3, 1, 4)
    elif how == "more weights":
        saved["state_dict"]["network.more"] = torch.zeros(2)
    elif how == "fewer weights":
        del saved["state_dict"][name]
    else:
        del saved[how]
    torch.save(saved, path)


def damage(path, how):
    if how == "missing":
        path.unlink()
    elif how == "packed":  # a little that unpacks to much more
        with zipfile.ZipFile(path) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, part in content.items():
                archive.writestr(name, part)
    elif how in CHANGES:
        change(path, how)
    else:
        path.write_bytes(path.read_bytes()[: 0 if how == "empty" else path.stat().st_size // 2])


@pytest.mark.parametrize("how", ["truncated", "empty", "missing", "packed", *CHANGES])
@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_damaged_checkpoint_is_never_the_one_to_resume_from(whole, tmp_path, name, how, capsys):
    (pick,) = (whole / "picks").iterdir()
    trust("tests.own_networks.networks")
    network = ImageClassifier.load_from_checkpoint(pick / "best.ckpt", map_location="cpu", weights_only=True)
    shutil.copytree(pick, tmp_path / "pick")
    damage(tmp_path / "pick" / name, how)
    chosen = checkpoint_to_resume(tmp_path / "pick", network)
    assert chosen == (tmp_path / "pick" / "best.ckpt" if name == "last.ckpt" else None)
    assert f"{name} is missing, damaged or of another network" in capsys.readouterr().out


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("last.ckpt", "truncated"),
        pytest.param("best.ckpt", "truncated", marks=SLOW),
        pytest.param("last.ckpt", "empty", marks=SLOW),
        pytest.param("last.ckpt", "missing", marks=SLOW),
        pytest.param("best.ckpt", "missing", marks=SLOW),
        pytest.param("last.ckpt", "other shape", marks=SLOW),
    ],
)
def test_a_training_with_a_damaged_checkpoint_goes_on_to_the_same_result(whole, data, tmp_path, name, how):
    shutil.copytree(whole, tmp_path / "run")
    (pick,) = (tmp_path / "run" / "picks").iterdir()
    (pick / "result.json").unlink()
    damage(pick / name, how)
    done = train(tmp_path / "run", data, *EPOCHS)
    assert done.returncode == 0, done.stderr
    assert f"{name} is missing, damaged or of another network" in done.stdout
    assert outcome_of(pick) == outcome_of(whole / "picks" / pick.name)


@pytest.mark.parametrize(
    "part", [{"optimizer_states": [{"state": {}, "param_groups": []}]}, {"loops": {}}, {"lr_schedulers": [3]}]
)
def test_a_checkpoint_that_does_not_fit_is_one_line_with_the_cure(whole, data, tmp_path, part):
    shutil.copytree(whole, tmp_path / "run")
    (pick,) = (tmp_path / "run" / "picks").iterdir()
    (pick / "result.json").unlink()
    saved = torch.load(pick / "last.ckpt", weights_only=True)
    torch.save({**saved, **part}, pick / "last.ckpt")
    done = train(tmp_path / "run", data, *EPOCHS)
    assert_one_line(done, "last.ckpt is not of this training", "remove it")


@pytest.mark.slow
def test_a_full_disk_is_said_and_leaves_no_part_and_the_next_run_continues(whole, data, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        done = train(disk / "run", data, *EPOCHS)
        assert_one_line(done, "No space left", "free some space and run the command again")
        assert not list(disk.rglob("*.part"))
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        done = train(disk / "run", data, *EPOCHS)
        assert done.returncode == 0, done.stderr
        (pick,) = (RunFolder(disk / "run").picks).iterdir()
        assert outcome_of(pick) == outcome_of(whole / "picks" / pick.name)
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("name", ["config.yaml", "retry.yaml"])
def test_damaged_settings_of_a_pick_are_named_with_their_cure(whole, data, tmp_path, name):
    shutil.copytree(whole, tmp_path / "run")
    (pick,) = (tmp_path / "run" / "picks").iterdir()
    (pick / "result.json").unlink()
    (pick / name).write_text("{}: [")
    done = train(tmp_path / "run", data, *EPOCHS)
    assert_one_line(done, f"the settings of {pick} are damaged", "remove the folder")
    assert (pick / name).read_text() == "{}: ["
