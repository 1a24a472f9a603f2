from naswot_lightning.data.module import ImageDataModule
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.data.splits import cifar10_valid_halves
from tests.archives import write_cifar10, write_cifar100
from tests.data.lists import write_lists


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


def test_a_module_without_validation_has_no_validation_batches(tmp_path, monkeypatch):
    write_cifar10(tmp_path, monkeypatch)
    assert ImageDataModule("cifar10", str(tmp_path), 50).val_dataloader() == []
    assert len(ImageDataModule("cifar10-valid", str(tmp_path), 50).val_dataloader()) == 2
