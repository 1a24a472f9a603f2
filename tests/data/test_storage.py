"""The file of a data set that the processes of all picks map."""

import resource
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from naswot_lightning.data import dataset as dataset_module
from naswot_lightning.data import image_folder
from naswot_lightning.data.dataset import ImageSplit, LazyImages, map_dataset, store_dataset
from naswot_lightning.data.module import ImageDataModule
from naswot_lightning.data.probe import draw_probe
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import UserError, describe_os_error
from tests.images import make_image_folder


@pytest.fixture
def stored(tmp_path):
    digits = load_dataset("digits")
    store_dataset(digits, tmp_path / "run" / "images")
    return digits, tmp_path / "run" / "images"


def test_a_stored_data_set_comes_back_with_its_fingerprint_and_its_mini_batches(stored):
    digits, path = stored
    (path.parent / ".images.4242.part").mkdir()  # of a process that was killed
    other = replace(digits, name="cifar10", val=None, val_name=None, test_name="ori-test", flip=True, crop_padding=4)
    for dataset in (digits, other):
        store_dataset(dataset, path)
        mapped = map_dataset(path)
        assert "fingerprint" in vars(mapped)  # of the file, not computed from all images
        assert mapped.fingerprint == dataset.fingerprint == replace(mapped).fingerprint
        for name, value in vars(dataset).items():
            if not isinstance(value, ImageSplit):
                assert getattr(mapped, name) == value
                assert type(getattr(mapped, name)) is type(value)
        assert draw_probe(mapped, 64, 3).fingerprint == draw_probe(dataset, 64, 3).fingerprint
        ours, theirs = (ImageDataModule("x", "", 256, dataset=each).train_dataloader() for each in (mapped, digits))
        for first, second in zip(ours, theirs, strict=True):
            assert first[0].equal(second[0])
            assert first[1].equal(second[1])
    assert [each.name for each in path.parent.iterdir()] == ["images"]


@pytest.mark.skipif(sys.platform != "linux", reason="mappings are found in /proc")
def test_mapped_images_are_pages_of_the_file_which_is_not_written_and_may_go(stored, recwarn):
    digits, path = stored
    before = path.read_bytes()
    mapped = map_dataset(path)
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(path))]
    spans = [[int(end, 16) for end in addresses.split("-")] for addresses, *_ in maps]
    assert any(start <= mapped.train.images.data_ptr() < end for start, end in spans)
    mapped.train.images.zero_()
    assert path.read_bytes() == before
    again = map_dataset(path)
    path.unlink()
    assert again.train.images.equal(digits.train.images)
    assert not recwarn.list


def test_a_file_that_is_missing_cut_or_something_else_is_one_line(stored):
    _, path = stored
    content = path.read_bytes()
    for damage in (lambda: path.unlink(), lambda: path.write_bytes(content[:5000]), lambda: torch.save([1], path)):
        damage()
        with pytest.raises(UserError, match="the stored images cannot be used") as caught:
            map_dataset(path)
        assert "\n" not in str(caught.value)


def test_a_full_disk_or_a_place_that_cannot_be_written_leaves_nothing(stored):
    digits, path = stored
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
        with pytest.raises(OSError, match="images") as caught:
            store_dataset(replace(digits, name="new"), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "raise the limit on file sizes" in describe_os_error(caught.value)
    assert [each.name for each in path.parent.iterdir()] == ["images"]
    assert map_dataset(path).name == "digits"
    with pytest.raises(OSError, match="images") as caught:
        store_dataset(digits, path / "images")
    assert "\n" not in describe_os_error(caught.value)


def test_images_that_do_not_fit_into_memory_are_decoded_when_asked_for_and_the_same(tmp_path, monkeypatch):
    folder = make_image_folder(tmp_path / "images", {"train": 20, "test": 5}, size=8)
    whole = load_dataset("imagefolder", folder)
    read, asked = image_folder.read_image, []
    monkeypatch.setattr(image_folder, "read_image", lambda path, *rest: asked.append(path) or read(path, *rest))
    monkeypatch.setattr(dataset_module, "IN_MEMORY", 1_000)
    lazy = load_dataset("imagefolder", folder)
    assert isinstance(lazy.train.images, LazyImages)
    asked.clear()
    assert draw_probe(lazy, 16, 0).fingerprint == draw_probe(whole, 16, 0).fingerprint
    assert len(asked) == 16
    # Of so few images the sample is all.
    assert (lazy.mean, lazy.std, lazy.fingerprint) == (whole.mean, whole.std, whole.fingerprint)
    store_dataset(lazy, tmp_path / "stored")
    assert {each.name for each in tmp_path.iterdir()} == {"images", "stored"}
    mapped = map_dataset(tmp_path / "stored")
    loaders = (ImageDataModule("x", "", 16, dataset=each).train_dataloader() for each in (whole, lazy, mapped))
    for ours, theirs, third in zip(*loaders, strict=True):
        assert ours[0].equal(theirs[0])
        assert ours[0].equal(third[0])
    monkeypatch.setattr(dataset_module, "_SAMPLE", 8 * 8 * 3 * 5)
    assert sum(map(len, lazy.train.sample())) == 5
    assert load_dataset("imagefolder", folder).fingerprint != whole.fingerprint
