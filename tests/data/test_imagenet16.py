import pickle

import pytest
import torch

from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import UserError
from tests.archives import md5_of, trust, write_imagenet16
from tests.data.lists import write_lists


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
