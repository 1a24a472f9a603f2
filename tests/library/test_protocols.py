"""The data sets and sets of NAS-Bench-201."""

import csv
import json
import pickle

import pytest
import torch
import yaml

from naswot_lightning import training
from naswot_lightning.config import SearchConfig, TrainConfig, WandbConfig
from naswot_lightning.data.catalog import load_dataset
from naswot_lightning.data.module import ImageDataModule
from naswot_lightning.data.probe import load_probe
from naswot_lightning.data.splits import cifar10_valid_halves, describe_split, read_split_file
from naswot_lightning.errors import UserError
from naswot_lightning.training.pick import train_pick
from tests.archives import md5_of, trust, write_cifar10, write_cifar100, write_imagenet16

SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"


def write_lists(path, valid, test):
    """The benchmark's own format: a type beside a list of words."""
    lists = {"xvalid": ["int", [str(i) for i in valid]], "xtest": ["int", [str(i) for i in test]]}
    path.write_text(json.dumps(lists, indent=2))
    return path


def test_halves_of_cifar10_are_the_published_ones():
    train, valid = cifar10_valid_halves()
    assert (len(train), len(valid)) == (25_000, 25_000)
    assert train[:5] == [0, 5, 7, 11, 13]
    assert valid[:5] == [1, 2, 3, 4, 6]
    assert sorted(train + valid) == list(range(50_000))


@pytest.mark.parametrize(
    ("name", "total", "valid", "test"),
    [
        ("cifar100", 10_000, [1, 3, 4, 5, 8], [0, 2, 6, 7, 9]),
        ("imagenet16-120", 6_000, [1, 2, 3, 6, 7], [0, 4, 5, 10, 11]),
    ],
)
def test_official_lists_in_both_formats(shared, tmp_path, name, total, valid, test):
    path = shared("nasbench201-test-splits.json")
    lists = read_split_file(path, name, total)
    assert (lists[0][:5], lists[1][:5]) == (valid, test)
    assert len(lists[0]) == len(lists[1]) == total // 2
    assert read_split_file(write_lists(tmp_path / "own.txt", *lists), name, total) == lists


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"\xff\xfe", "not JSON; expected"),
        (b"[" * 100_000, "not JSON; expected"),
        (b"[1, 2]", "no xvalid and xtest lists of cifar100"),
        (b'{"imagenet16-120": {}}', "no xvalid and xtest lists of cifar100"),
        (b'{"cifar100": {"xvalid": [0]}}', "no xvalid and xtest lists of cifar100"),
        (b'{"xvalid": 3, "xtest": [0]}', "xvalid is '3', expected a list"),
        (b'{"xvalid": [0, 1.5], "xtest": [2, 3]}', "xvalid holds '1.5'"),
        (b'{"xvalid": ["int", ["0", "-1"]], "xtest": [2, 3]}', "xvalid holds '-1'"),
        (b'{"xvalid": [true, 0], "xtest": [2, 3]}', "xvalid holds 'True'"),
        (b'{"xvalid": [0, 1], "xtest": [1, 2, 3]}', "overlap, both hold 1"),
        (b'{"xvalid": [0, 1], "xtest": [2, 4]}', "index 4 is out of range"),
        (b'{"xvalid": [0, 1, 1], "xtest": [2, 3]}', "holds an index twice"),
        (b'{"xvalid": [0], "xtest": [2]}', "2 images are in neither list, the first is 1"),
    ],
)
def test_a_damaged_list_is_one_line(tmp_path, content, fault):
    path = tmp_path / "split.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=fault) as caught:
        read_split_file(path, "cifar100", 4)
    assert str(caught.value).startswith(f"--split_file {path}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_lists_that_are_missing_or_not_needed(tmp_path):
    for place, fault in ((tmp_path / "none.txt", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UserError, match=fault):
            read_split_file(place, "cifar100", 4)
    for name in ("digits", "cifar10", "noise"):
        with pytest.raises(UserError, match=f"{name} has no such lists; the option is for cifar100 and imagenet16"):
            load_probe(name, tmp_path, 4, 0, split_file="x.txt")


def test_cifar10_valid_trains_on_a_half(tmp_path, monkeypatch):
    write_cifar10(tmp_path, monkeypatch)
    halves = load_dataset("cifar10-valid", tmp_path)
    whole = load_dataset("cifar10", tmp_path)
    train, valid = cifar10_valid_halves(200)
    assert halves.train.images.equal(whole.train.images[train])
    assert halves.val.images.equal(whole.train.images[valid])
    assert halves.test.images.equal(whole.test.images)
    assert (halves.val_name, halves.test_name) == ("x-valid", "ori-test")
    assert (whole.val, whole.val_name, whole.test_name) == (None, None, "ori-test")
    assert (halves.name, halves.num_classes, halves.mean) == ("cifar10-valid", 10, (125.3, 123.0, 113.9))


def test_cifar100_is_tested_by_the_official_lists_or_says_that_it_is_not(tmp_path, monkeypatch):
    write_cifar100(tmp_path, monkeypatch)
    path = write_lists(tmp_path / "split.txt", range(0, 100, 2), range(1, 100, 2))
    official = load_dataset("cifar100", tmp_path, split_file=path)
    assert (len(official.train), official.num_classes) == (200, 100)
    assert official.val.labels.tolist() == list(range(0, 100, 2))
    assert official.test.labels.tolist() == list(range(1, 100, 2))
    assert (official.val_name, official.test_name) == ("x-valid", "x-test")
    own = load_dataset("cifar100", tmp_path)
    assert (own.val_name, own.test_name) == ("x-valid (own split)", "x-test (own split)")
    assert sorted(own.val.labels.tolist() + own.test.labels.tolist()) == list(range(100))
    assert len(own.val) == 50


def test_what_decides_a_split_is_its_content(tmp_path):
    first = write_lists(tmp_path / "a.txt", [0], [1])
    again = write_lists(tmp_path / "b.txt", [0], [1])
    other = write_lists(tmp_path / "c.txt", [1], [0])
    described = [describe_split("cifar100", path) for path in (first, again, other, None)]
    assert described[0] == described[1] != described[2]
    assert "not the benchmark's official lists" in described[3]


def test_imagenet16_120_from_its_official_files(tmp_path, monkeypatch):
    write_imagenet16(tmp_path / "ImageNet16", monkeypatch)
    path = write_lists(tmp_path / "split.txt", range(60), range(60, 120))
    data = load_dataset("imagenet16-120", tmp_path, split_file=path)
    assert [len(split) for split in (data.train, data.val, data.test)] == [1_200, 60, 60]
    assert (data.num_classes, data.image_size, data.crop_padding, data.flip) == (120, 16, 2, True)
    assert data.val.labels.tolist() == list(range(60))
    assert data.train.labels.bincount().tolist() == [10] * 120
    pixels = pickle.loads((tmp_path / "ImageNet16" / "val_data").read_bytes())["data"]
    assert data.val.images[7].permute(2, 0, 1).flatten().equal(torch.from_numpy(pixels[7]))
    assert load_dataset("imagenet16-120", tmp_path / "ImageNet16").test_name == "x-test (own split)"


def test_imagenet16_120_names_every_missing_and_damaged_file(tmp_path, monkeypatch):
    folder = write_imagenet16(tmp_path / "files", monkeypatch)
    expected = md5_of(folder / "val_data")
    (folder / "train_data_batch_4").unlink()
    (folder / "val_data").write_bytes(b"cut")
    with pytest.raises(UserError) as caught:
        load_dataset("imagenet16-120", folder)
    message = str(caught.value)
    assert "missing train_data_batch_4 (md5 " in message
    assert f"damaged val_data (md5 {md5_of(folder / 'val_data')}, expected {expected})" in message
    assert "train_data_batch_5" not in message
    assert "image-net.org" in message
    assert "\n" not in message


class _Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("trusted", [False, True])
def test_a_malicious_pickle_does_not_run(tmp_path, monkeypatch, trusted):
    folder = write_imagenet16(tmp_path / "files", monkeypatch)
    trace = tmp_path / "trace"
    (folder / "train_data_batch_2").write_bytes(pickle.dumps({"data": _Attack(trace), "labels": []}))
    if trusted:
        trust(folder, monkeypatch)
    with pytest.raises(
        UserError, match="asks for io.open|asks for _io.open" if trusted else "damaged train_data_batch_2"
    ):
        load_dataset("imagenet16-120", folder)
    assert not trace.exists()


@pytest.mark.parametrize("content", [[], {"data": [1]}, {"labels": [1]}, {"data": None, "labels": 3}])
def test_another_pickle_of_the_right_checksum(tmp_path, monkeypatch, content):
    folder = write_imagenet16(tmp_path / "files", monkeypatch)
    (folder / "val_data").write_bytes(pickle.dumps(content))
    trust(folder, monkeypatch)
    with pytest.raises(UserError, match="val_data: expected a dictionary of data"):
        load_dataset("imagenet16-120", folder)


def test_a_module_without_validation_has_no_validation_batches(tmp_path, monkeypatch):
    write_cifar10(tmp_path, monkeypatch)
    assert ImageDataModule("cifar10", str(tmp_path), 50).val_dataloader() == []
    assert len(ImageDataModule("cifar10-valid", str(tmp_path), 50).val_dataloader()) == 2


@pytest.fixture
def train_here(monkeypatch):
    """Trains picks in this process, where the archives' checksums are those of the small ones."""
    monkeypatch.setattr(training, "_train", lambda folder, images: bool(train_pick(folder, images)))

    def run(run_dir, **settings):
        config = TrainConfig(
            run_dir=str(run_dir), architecture=SMALL, batch_size=50, probe_batch_size=8, early_points=2,
            wandb=WandbConfig(mode="disabled"), **settings,
        )  # fmt: skip
        assert training.run_training(config) == 0
        return next(run_dir.glob("picks/*"))

    return run


def test_training_without_validation_keeps_the_last_epoch(tmp_path, monkeypatch, train_here, capsys):
    write_cifar10(tmp_path, monkeypatch)
    pick = train_here(tmp_path / "run", dataset="cifar10", data_dir=str(tmp_path), epochs=2)
    result = json.loads((pick / "result.json").read_text())
    assert (result["val_set"], result["test_set"], result["best_val_acc"]) == (None, "ori-test", None)
    with open(pick / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert not [name for name in rows[0] if name.startswith("val")]
    best, last = (torch.load(pick / f"{name}.ckpt", weights_only=True) for name in ("best", "last"))
    assert best["epoch"] == last["epoch"] == 1
    assert all(best["state_dict"][name].equal(value) for name, value in last["state_dict"].items())
    printed = capsys.readouterr()
    assert "val acc" not in printed.out.split("trained picks")[0]
    assert "warning" not in printed.err
    with open(tmp_path / "run" / "comparison.csv", newline="") as file:
        assert next(csv.DictReader(file))["best_val_acc"] == ""


def test_training_without_validation_is_continued(tmp_path, monkeypatch, train_here):
    write_cifar10(tmp_path, monkeypatch)
    pick = train_here(tmp_path / "run", dataset="cifar10", data_dir=str(tmp_path), epochs=1)
    settings = yaml.safe_load((pick / "config.yaml").read_text())
    (pick / "config.yaml").write_text(yaml.safe_dump({**settings, "epochs": 2}))
    train_pick(pick)
    epochs = [torch.load(pick / f"{name}.ckpt", weights_only=True)["epoch"] for name in ("best", "last")]
    assert epochs == [1, 1]
    assert {path.name for path in pick.glob("*.ckpt")} == {"best.ckpt", "last.ckpt"}
    assert len((pick / "metrics.csv").read_text().splitlines()) == 3


def test_training_on_our_own_split_warns_and_saves_it(tmp_path, monkeypatch, train_here, capsys):
    write_cifar100(tmp_path, monkeypatch)
    place = {"dataset": "cifar100", "data_dir": str(tmp_path), "epochs": 1}
    pick = train_here(tmp_path / "own", **place)
    assert "train.py: warning: cifar100: its test images are split" in capsys.readouterr().err
    assert "not the benchmark's official lists" in yaml.safe_load((pick / "config.yaml").read_text())["split"]
    assert json.loads((pick / "result.json").read_text())["val_set"] == "x-valid (own split)"
    path = write_lists(tmp_path / "split.txt", range(50), range(50, 100))
    pick = train_here(tmp_path / "official", **place, split_file=str(path))
    assert "warning" not in capsys.readouterr().err
    assert json.loads((pick / "result.json").read_text())["test_set"] == "x-test"
    with pytest.raises(UserError, match="was trained with other settings: split was"):
        train_here(tmp_path / "own", **place, split_file=str(path))


def test_lists_do_not_decide_a_search():
    assert SearchConfig(split_file="a.txt").identity() == SearchConfig().identity()
