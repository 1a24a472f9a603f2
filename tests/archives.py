"""Small data sets in the official file formats, written by the tests, with the checksums to match."""

import hashlib
import json
import pickle
import zlib
from pathlib import Path

import numpy as np
from torchvision import datasets

from naswot_lightning.data import sources


def md5_of(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def _batch_file(path, labels, label_key, width=3072):
    pixels = np.random.default_rng(zlib.crc32(path.name.encode())).integers(
        0, 256, (len(labels), width), dtype=np.uint8
    )
    path.write_bytes(pickle.dumps({"data": pixels, label_key: labels}, protocol=2))


def _patch(monkeypatch, source, folder, train, test):
    monkeypatch.setattr(source, "train_list", [[name, md5_of(folder / name)] for name in train])
    monkeypatch.setattr(source, "test_list", [[name, md5_of(folder / name)] for name in test])
    monkeypatch.setitem(source.meta, "md5", md5_of(folder / source.meta["filename"]))


def write_cifar10(root: Path, monkeypatch) -> Path:
    """200 images to train, 40 to test."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    train = [f"data_batch_{i}" for i in range(1, 6)]
    for name in [*train, "test_batch"]:
        _batch_file(folder / name, list(range(10)) * 4, "labels")
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    _patch(monkeypatch, datasets.CIFAR10, folder, train, ["test_batch"])
    return folder


def write_cifar100(root: Path, monkeypatch) -> Path:
    """200 images to train, 100 to test."""
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    _batch_file(folder / "train", list(range(100)) * 2, "fine_labels")
    _batch_file(folder / "test", list(range(100)), "fine_labels")
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [str(i) for i in range(100)]}))
    _patch(monkeypatch, datasets.CIFAR100, folder, ["train"], ["test"])
    return folder


def write_imagenet16(folder: Path, monkeypatch) -> Path:
    """Eleven files of labels 1 .. 200, each of which keeps 120 images."""
    folder.mkdir(parents=True)
    for name in [*sources.IMAGENET16_TRAIN_MD5, *sources.IMAGENET16_VAL_MD5]:
        _batch_file(folder / name, list(range(1, 201)), "labels", width=768)
    trust(folder, monkeypatch)
    return folder


def trust(folder: Path, monkeypatch) -> None:
    """Take the checksums of the files as they lie there."""
    for table in ("IMAGENET16_TRAIN_MD5", "IMAGENET16_VAL_MD5"):
        monkeypatch.setattr(sources, table, {n: md5_of(folder / n) for n in getattr(sources, table)})


def write_lists(path: Path, valid, test) -> Path:
    """Official lists of x-valid and x-test, in the benchmark's own format: a type beside a list of words."""
    lists = {"xvalid": ["int", [str(i) for i in valid]], "xtest": ["int", [str(i) for i in test]]}
    path.write_text(json.dumps(lists, indent=2))
    return path
