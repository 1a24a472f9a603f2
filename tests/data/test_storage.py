import json
import resource
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from naswot_lightning.data.catalog import load_dataset
from naswot_lightning.data.dataset import Dataset, ImageSplit
from naswot_lightning.data.module import ImageDataModule
from naswot_lightning.data.probe import draw_probe
from naswot_lightning.data.storage import map_dataset, store_dataset
from naswot_lightning.errors import UserError, describe_os_error
from tests.conftest import ROOT


def same(first, second):
    for field in fields(Dataset):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if isinstance(a, ImageSplit):
            if not (a.images.equal(b.images) and a.labels.equal(b.labels) and a.labels.dtype == b.labels.dtype):
                return False
        elif a != b or type(a) is not type(b):
            return False
    return True


@pytest.fixture
def stored(tmp_path):
    digits = load_dataset("digits")
    store_dataset(digits, tmp_path / "run" / ".images")
    return digits, tmp_path / "run" / ".images"


def test_everything_comes_back(stored, tmp_path):
    digits, folder = stored
    assert same(map_dataset(folder), digits)
    other = replace(digits, name="cifar10", val=None, val_name=None, test_name="ori-test", flip=True, crop_padding=4)
    assert not same(other, digits)
    store_dataset(other, folder)
    assert same(map_dataset(folder), other)
    no_name = replace(digits, val=None)
    store_dataset(no_name, folder)
    assert same(map_dataset(folder), no_name)
    assert [path.name for path in folder.parent.iterdir()] == [".images"]


def test_files_are_plain_arrays(stored):
    digits, folder = stored
    names = {f"{split}-{part}.npy" for split in ("train", "val", "test") for part in ("images", "labels")}
    assert {path.name for path in folder.iterdir()} == names | {"dataset.json"}
    assert torch.from_numpy(np.load(folder / "val-images.npy", allow_pickle=False)).equal(digits.val.images)


def test_the_probe_and_the_mini_batches_are_those_of_the_loaded_data_set(stored):
    digits, folder = stored
    mapped = map_dataset(folder)
    assert draw_probe(mapped, 64, 3).fingerprint == draw_probe(digits, 64, 3).fingerprint
    ours, theirs = (list(ImageDataModule("digits", "", 256, dataset=d).train_dataloader()) for d in (mapped, digits))
    for first, second in zip(ours, theirs, strict=True):
        assert first[0].equal(second[0])
        assert first[1].equal(second[1])


def test_what_is_mapped_outlives_its_files_and_is_not_written(stored, recwarn):
    digits, folder = stored
    before = (folder / "train-images.npy").read_bytes()
    mapped = map_dataset(folder)
    mapped.train.images.zero_()
    assert (folder / "train-images.npy").read_bytes() == before
    again = map_dataset(folder)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert again.train.images.equal(digits.train.images)
    assert not recwarn.list


_OTHER_PROCESS = """
import sys
from pathlib import Path
from naswot_lightning.data.storage import map_dataset
images = map_dataset(Path(sys.argv[1])).train.images
print(int(images.sum()), flush=True)
sys.stdin.read()
"""


def _memory_of(path):
    """KiB of the mappings of a file in this process, by kind."""
    found, inside = {}, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        key, _, value = line.partition(":")
        if " " in key:  # the head of a mapping
            inside = line.endswith(str(path))
        elif inside and value.endswith("kB"):
            found[key] = found.get(key, 0) + int(value.split()[0])
    return found


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux")
def test_processes_share_the_pages(tmp_path):
    images = torch.randint(256, (10_000, 32, 32, 3), dtype=torch.uint8)
    split = ImageSplit(images, torch.zeros(10_000, dtype=torch.int64))
    store_dataset(Dataset("x", split, None, split.take([0]), 1, (1.0,), (1.0,), False, 0), tmp_path / "images")
    mapped = map_dataset(tmp_path / "images").train.images
    command = [sys.executable, "-c", _OTHER_PROCESS, str(tmp_path / "images")]
    other = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with other:
        assert int(other.stdout.readline()) == int(images.sum()) == int(mapped.sum())
        memory = _memory_of(tmp_path / "images" / "train-images.npy")
        other.stdin.close()
    size = images.numel() // 1024
    assert memory["Shared_Clean"] + memory["Shared_Dirty"] > 0.95 * size  # dirty: not yet on the disk
    assert memory["Anonymous"] == 0


def _without_labels(folder):
    (folder / "val-labels.npy").unlink()


def _cut(folder):
    path = folder / "train-images.npy"
    path.write_bytes(path.read_bytes()[:5000])


def _pickled(folder):
    np.save(folder / "val-labels.npy", np.array([{}], dtype=object), allow_pickle=True)


def _of_another_type(folder):
    np.save(folder / "train-images.npy", np.zeros((4, 8, 8, 3), np.float32))


def _fewer_labels(folder):
    np.save(folder / "test-labels.npy", np.zeros(3, np.int64))


def _description(text):
    return lambda folder: (folder / "dataset.json").write_text(text)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_without_labels, "val-labels.npy is missing"),
        (_cut, "mmap length"),
        (lambda folder: (folder / "test-images.npy").write_bytes(b""), "No data left|EOF"),
        (lambda folder: (folder / "test-images.npy").write_bytes(b"PK\x03\x04 no archive"), "zip"),
        (_pickled, "[Oo]bject"),
        (_of_another_type, "train-images.npy is 4-dimensional float32"),
        (_fewer_labels, "test has 297 images and 3 labels"),
        (lambda folder: (folder / "dataset.json").unlink(), "dataset.json is missing"),
        (_description("{"), "Expecting"),
        (_description("[" * 100_000), "recursion"),
        (_description("[]"), "list indices"),
        (_description('{"plain": {}, "splits": ["train"]}'), "missing"),
        (_description('{"plain": {"more": 1}, "splits": []}'), "more"),
        (_description('{"plain": {}, "splits": ["../train"]}'), "missing"),
    ],
)
def test_damaged_files_are_one_line(stored, damage, reason):
    _, folder = stored
    damage(folder)
    with pytest.raises(UserError, match=reason) as caught:
        map_dataset(folder)
    assert str(caught.value).startswith(f"{folder}: the stored images cannot be used (")
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_nothing(stored):
    digits, folder = stored
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
        with pytest.raises(OSError, match=r"\.images") as caught:
            store_dataset(replace(digits, name="new"), folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "raise the limit on file sizes" in describe_os_error(caught.value)
    assert [path.name for path in folder.parent.iterdir()] == [".images"]
    assert map_dataset(folder).name == "digits"


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="images") as caught:
        store_dataset(load_dataset("digits"), tmp_path / "file" / "images")
    assert "\n" not in describe_os_error(caught.value)


_KILLED = """
import os, sys
from pathlib import Path
from naswot_lightning.storage.files import atomic_path
with atomic_path(Path(sys.argv[1])) as beside:
    beside.mkdir()
    (beside / "train-images.npy").write_bytes(b"half")
    os._exit(9)
"""


def test_the_remains_of_a_killed_process_are_replaced(stored):
    digits, folder = stored
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(folder)], cwd=ROOT, check=False)
    assert killed.returncode == 9
    (remains,) = (path for path in folder.parent.iterdir() if path != folder)
    assert (remains / folder.name / "train-images.npy").read_bytes() == b"half"
    store_dataset(digits, folder)
    assert [path.name for path in folder.parent.iterdir()] == [".images"]
    assert json.loads((folder / "dataset.json").read_text())["plain"]["name"] == "digits"
