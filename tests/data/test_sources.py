"""Each data set by its name: what it holds, how it is downloaded, and what is said where files are missing."""

import hashlib
import http.server
import pickle
import tarfile
import threading
from functools import partial

import pytest
import torch
from torchvision import datasets

from naswot_lightning.data.module import ImageDataModule
from naswot_lightning.data.probe import load_probe
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.data.splits import cifar10_valid_halves
from naswot_lightning.errors import UserError
from tests.archives import md5_of, trust, write_cifar10, write_cifar100, write_imagenet16, write_lists


def test_load_dataset_unknown_name_or_size_is_refused(tmp_path):
    with pytest.raises(UserError, match="did you mean 'cifar10'"):
        load_dataset("cifar-10")
    with pytest.raises(UserError, match="the image size of digits is fixed"):
        load_dataset("digits", image_size=12)
    with pytest.raises(UserError, match="digits has only 1203 training images"):
        load_probe("digits", tmp_path, 1_204, 0)


def test_digits_are_real_and_split_without_overlap():
    digits = load_dataset("digits")
    assert [len(s) for s in (digits.train, digits.val, digits.test)] == [1_203, 297, 297]
    assert digits.train.images.shape[1:] == (16, 16, 3)
    assert digits.train.images.dtype == torch.uint8
    assert not digits.flip
    rows = {
        name: {hashlib.md5(i.numpy().tobytes()).hexdigest() for i in getattr(digits, name).images}
        for name in ("train", "val", "test")
    }
    assert not rows["train"] & rows["test"]
    assert not rows["train"] & rows["val"]
    assert sorted(set(digits.test.labels.tolist())) == list(range(10))


@pytest.fixture
def cifar_server(tmp_path, monkeypatch):
    """A server of an archive in CIFAR-10's official format, its checksums those that torchvision expects."""
    folder = write_cifar10(tmp_path / "served", monkeypatch)
    with tarfile.open(tmp_path / "served" / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(folder, "cifar-10-batches-py")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "served")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    source = datasets.CIFAR10
    monkeypatch.setattr(source, "url", f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz")
    monkeypatch.setattr(source, "tgz_md5", md5_of(tmp_path / "served" / "cifar-10-python.tar.gz"))
    yield server
    server.shutdown()
    server.server_close()


def test_cifar_is_downloaded_checked_and_found_again(cifar_server, tmp_path):
    first = load_dataset("cifar10", tmp_path / "data")
    assert (len(first.train), first.val, len(first.test)) == (200, None, 40)
    assert first.mean == (125.3, 123.0, 113.9)
    cifar_server.shutdown()
    cifar_server.server_close()
    again = load_dataset("cifar10", tmp_path / "data")
    assert again.train.images.equal(first.train.images)
    (tmp_path / "data" / "cifar-10-python.tar.gz").unlink()
    (tmp_path / "data" / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"cut")
    for folder, state in (("data", "damaged or incomplete"), ("none", "missing")):
        with pytest.raises(UserError, match=rf"is {state} and cannot be downloaded.*-python.tar.gz \(md5.*--data_dir"):
            load_dataset("cifar10", tmp_path / folder)


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
    assert ImageDataModule("cifar10", str(tmp_path), 50).val_dataloader() == []
    assert len(ImageDataModule("cifar10-valid", str(tmp_path), 50).val_dataloader()) == 2


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


def test_imagenet16_120_with_a_malicious_or_another_pickle_runs_nothing(tmp_path, monkeypatch):
    folder = write_imagenet16(tmp_path / "files", monkeypatch)
    trace = tmp_path / "trace"
    (folder / "val_data").write_bytes(pickle.dumps({"data": _Attack(trace), "labels": []}))
    with pytest.raises(UserError, match="damaged val_data"):
        load_dataset("imagenet16-120", folder)
    trust(folder, monkeypatch)  # as if the checksum were the official one
    with pytest.raises(UserError, match=r"asks for _?io\.open"):
        load_dataset("imagenet16-120", folder)
    assert not trace.exists()
    for content in ([], {"data": [1]}, {"data": None, "labels": 3}):
        (folder / "val_data").write_bytes(pickle.dumps(content))
        trust(folder, monkeypatch)
        with pytest.raises(UserError, match="val_data: expected a dictionary of data"):
            load_dataset("imagenet16-120", folder)
