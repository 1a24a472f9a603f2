"""Checkpoints: saved whole, never those of elsewhere, and what is done about one that is damaged."""

import shutil
import zipfile

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only

from naswot_lightning.errors import UserError
from naswot_lightning.training.classifier import ImageClassifier
from naswot_lightning.training.pick import _fit, train_pick
from naswot_lightning.training.trainer import AtomicCheckpointIO, best_and_last, checkpoint_to_resume
from tests.images import make_image_folder
from tests.training.runs import config_of, keeping_handlers, outcome_of, prepared


def test_a_save_that_fails_leaves_the_checkpoint_before(tmp_path):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)
    with pytest.raises(AttributeError, match="lambda"):
        AtomicCheckpointIO().save_checkpoint({"step": 2, "no pickle": lambda: None}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_path_that_a_checkpoint_names_is_never_one_that_lightning_removes(tmp_path):
    for path in ("..", "/etc/passwd", "../../mine", "best.ckpt"):
        for kept, name in zip(best_and_last(tmp_path), ("best.ckpt", "last.ckpt"), strict=True):
            own, score = str(tmp_path / name), torch.tensor(0.5)
            paths = dict.fromkeys(("best_model_path", "kth_best_model_path", "last_model_path"), path)
            state = {"best_k_models": {path: score}, "best_model_score": score, "kth_value": score, "dirpath": "/"}
            kept.load_state_dict({**paths, **state})
            assert kept.best_model_path == kept.kth_best_model_path == kept.last_model_path == own
            assert kept.best_k_models == {own: score}
            assert kept.state_key.startswith("ModelCheckpoint{")  # as Lightning's own class writes it


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a pick that was trained for four epochs."""
    data = make_image_folder(tmp_path_factory.mktemp("data") / "images", {"train": 20, "test": 4})
    folder = prepared(config_of(tmp_path_factory.mktemp("whole") / "run", data, epochs=4))
    assert keeping_handlers(lambda: train_pick(folder)).status == "ok"
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    """The same without its result, to be continued."""
    shutil.copytree(whole, tmp_path / whole.name)
    (tmp_path / whole.name / "result.json").unlink()
    return tmp_path / whole.name


def damage(path, how):
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif how == "packed":  # a little that unpacks to much more
        with zipfile.ZipFile(path) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, part in content.items():
                archive.writestr(name, part)
    else:
        saved = torch.load(path, weights_only=True)
        weights = saved["state_dict"]
        name = next(name for name, weight in weights.items() if weight.ndim)
        if how == "other shape":
            weights[name] = torch.zeros(3, 1, 4)
        elif how == "more weights":
            weights["network.more"] = torch.zeros(2)
        elif how == "fewer weights":
            del weights[name]
        else:
            del saved[how]
        torch.save(saved, path)


def test_a_damaged_checkpoint_is_never_the_one_to_resume_from(whole, copy, capsys):
    network = ImageClassifier.load_from_checkpoint(whole / "best.ckpt", map_location="cpu", weights_only=True)
    changes = ("other shape", "more weights", "fewer weights", "optimizer_states", "loops")
    for how in ("truncated", "missing", "packed", *changes):
        for name, other in (("last.ckpt", copy / "best.ckpt"), ("best.ckpt", None)):
            damage(copy / name, how)
            assert checkpoint_to_resume(copy, network) == other, (name, how)
            assert f"{name} is missing, damaged or of another network" in capsys.readouterr().out
            shutil.copy(whole / name, copy / name)
    assert checkpoint_to_resume(copy, network) == copy / "last.ckpt"


def test_every_process_of_one_machine_finds_the_checkpoint_before_they_are_connected(copy, monkeypatch):
    network = ImageClassifier.load_from_checkpoint(copy / "last.ckpt", map_location="cpu", weights_only=True)
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    second = pl.Trainer(devices=2, strategy="ddp", accelerator="cpu", logger=False, max_epochs=1)
    assert not second.is_global_zero

    def fit(*_, ckpt_path):
        raise KeyboardInterrupt(ckpt_path)

    monkeypatch.setattr(second, "fit", fit)
    with pytest.raises(KeyboardInterrupt, match=r"last\.ckpt"):
        _fit(second, network, None, copy, dict)


def test_a_training_with_a_damaged_checkpoint_goes_on_to_the_same_result(whole, copy, capsys):
    damage(copy / "last.ckpt", "truncated")
    keeping_handlers(lambda: train_pick(copy))
    assert "last.ckpt is missing, damaged or of another network" in capsys.readouterr().out
    assert outcome_of(copy) == outcome_of(whole)


def test_a_checkpoint_that_does_not_fit_is_one_line_with_the_cure(whole, copy):
    saved = torch.load(whole / "last.ckpt", weights_only=True)
    for part in ({"optimizer_states": [{"state": {}, "param_groups": []}]}, {"loops": {}}, {"lr_schedulers": [3]}):
        torch.save({**saved, **part}, copy / "last.ckpt")
        with pytest.raises(UserError, match=r"last\.ckpt belongs to another training .*remove it") as error:
            keeping_handlers(lambda: train_pick(copy))
        assert "\n" not in str(error.value)
