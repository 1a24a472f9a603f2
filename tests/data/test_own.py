"""Data sets of the user's own, by import path or out of Hugging Face's files, become splits of uint8 images."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from naswot_lightning.cli.parser import parse
from naswot_lightning.config import TrainConfig
from naswot_lightning.data.own import dataset_name
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import UserError
from naswot_lightning.spaces import own_code, trust

CODE = """
import numpy as np
import torch
from PIL import Image
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, SubsetRandomSampler, WeightedRandomSampler, random_split

class Images(Dataset):
    classes = ("dark", "bright")

    def __init__(self, count, kind="tensor", side=8):
        self.pixels = np.random.default_rng(count).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
        self.kind = kind

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        pixels, label = self.pixels[index], index % 2
        tensor = torch.from_numpy(pixels).permute(2, 0, 1)
        image = {
            "tensor": tensor, "array": pixels, "pil": Image.fromarray(pixels), "floats": tensor / 255,
            "grey": tensor[:1], "alpha": np.concatenate([pixels, pixels[..., :1]], 2),
            "normalized": tensor / 128.0 - 1, "long": tensor.long(), "odd": tensor[:, : 8 - index % 2],
            "flat": tensor.flatten(), "text": "image.png",
        }.get(self.kind, tensor)
        label = {"name": "dark", "negative": -1, "many": 2, "share": 0.5}.get(self.kind, label)
        return {"image": image} if self.kind == "dict" else (image, np.int64(label) if label == 1 else label)

def splits(kind: str = "tensor", count: int = 20):
    return Images(count, kind), Images(4, kind), Images(6, kind)

def short(kind: str = "pair"):
    images = Images(20)
    return {"pair": (images, images), "alone": (images, None, None), "iterator": (iter([]), None, images)}[kind]

def broken():
    raise FileNotFoundError("no such folder")

class Module(LightningDataModule):
    def __init__(self, count: int = 30):
        super().__init__()
        self.count = count

    def setup(self, stage):
        self.train, self.test = random_split(Images(self.count), [0.5, 0.5])

    def train_dataloader(self):
        return DataLoader(self.train, batch_size=3, shuffle=True)

    def val_dataloader(self):
        return [DataLoader(self.test)]

class Sampled(LightningDataModule):
    def __init__(self, kind: str = "subset"):
        super().__init__()
        self.images = Images(30)
        self.samplers = {
            "subset": [SubsetRandomSampler(range(20)), SubsetRandomSampler(torch.arange(20, 30))],
            "weighted": [WeightedRandomSampler([1.0] * 30, 30), None], "odd": [[1, 2], None],
        }[kind]

    def train_dataloader(self):
        return DataLoader(self.images, sampler=self.samplers[0])

    def val_dataloader(self):
        return DataLoader(self.images, sampler=self.samplers[1])

def other_classes():
    test = Images(4)
    test.classes = ("bright", "dark")
    return Images(20), None, test
"""
MODULE = "own_data_of_a_test"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / f"{MODULE}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(own_code, "_trusted", set())
    yield tmp_path
    sys.modules.pop(MODULE, None)


def load(name, **options):
    trust(f"{MODULE}.{name}")
    return load_dataset(f"{MODULE}.{name}", **options)


def test_images_of_any_kind_are_the_same_pixels():
    expected = np.random.default_rng(20).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    for kind in ("tensor", "array", "pil", "floats", "alpha"):
        found = load(f"splits:kind={kind}")
        assert np.array_equal(found.train.images, expected), kind
    assert (len(found.val), len(found.test), found.classes) == (4, 6, ("dark", "bright"))
    assert found.train.labels.tolist() == [0, 1] * 10
    assert np.array_equal(load("splits:kind=grey").train.images, expected[..., :1].repeat(3, axis=3))
    assert load("splits", image_size=4).test.images.shape == (6, 4, 4, 3)


def test_module_gives_the_data_of_its_loaders_the_same_each_time():
    first, second = load("Module"), load("Module")
    # One other set: a tenth of the training images is held out.
    assert [len(each) for each in (first.train, first.val, first.test)] == [13, 2, 15]
    assert first.fingerprint == second.fingerprint
    assert first.classes == ("dark", "bright")


def test_images_are_those_that_the_loaders_of_one_data_set_take():
    found = load("Sampled")
    pixels = torch.from_numpy(np.random.default_rng(30).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8))
    assert torch.equal(found.test.images, pixels[20:])
    assert len(found.train) + len(found.val) == 20
    assert len(load("Sampled:kind=weighted").test) == 30


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("splits:kind=normalized", "training image 0 has values from -0.992 to .*leave out Normalize"),
        ("splits:kind=long", "training image 0 is int64, expected uint8"),
        ("splits:kind=odd", "image 1 is 8x7, and others differ or are not square; give a side with --image_size"),
        ("splits:kind=flat", r"has the shape \(192,\)"),
        ("splits:kind=text", "is str, expected a PIL image"),
        ("splits:kind=dict", r"is dict, expected \(image, label\)"),
        ("splits:kind=name", "its label is str, expected a number"),
        ("splits:kind=negative", "its label is -1"),
        ("splits:kind=share", "its label is 0.5, expected a whole number, 0 or more"),
        ("other_classes", "the classes of its test images, bright, dark, differ from those of its training images"),
        ("Sampled:kind=odd", "train_dataloader has a list, which may choose any images"),
        ("splits:kind=many", "a label is 2, but there are only 2 classes: dark, bright"),
        ("splits:kinds=pil", "unknown option 'kinds'.*did you mean 'kind'"),
        ("short", "the function returns tuple, expected training, validation"),
        ("short:kind=alone", "it has no test or validation images"),
        ("short:kind=iterator", "its training images are list_iterator"),
        ("broken", f"dataset {MODULE}.broken: FileNotFoundError: no such folder"),
        ("Images", "expected a LightningDataModule, or a function"),
        ("nothing", "has no attribute 'nothing'"),
    ],
)
def test_what_is_no_data_is_said_in_one_line(name, message):
    with pytest.raises(UserError, match=message) as error:
        load(name)
    assert "\n" not in str(error.value)


def test_code_that_a_file_names_is_imported_only_where_the_user_says_so(folder):
    name = f"{MODULE}.Module:count=30"
    (folder / "own.yaml").write_text(f"dataset: {name}\n")
    with pytest.raises(UserError, match=f"dataset {name}: a file names this code.*--dataset {name} or --trust"):
        parse(TrainConfig, ["--config", "own.yaml"], "naswot train")
    with pytest.raises(UserError, match="a file names this code"):
        dataset_name(name)
    assert MODULE not in sys.modules
    assert parse(TrainConfig, ["--config", "own.yaml", "--trust"], "naswot train").dataset == name
    # Without its default.
    assert dataset_name(name) == f"{MODULE}.Module"


def test_saved_data_set_of_hugging_face_is_read(folder):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"pixels": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog"])})
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    rows = {"pixels": list(map(Image.fromarray, pixels)), "kind": [0, 1] * 6}
    part = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict(train=part, validation=part, test=part).save_to_disk("saved")
    found = load_dataset("hf:saved")
    assert torch.equal(found.train.images, torch.from_numpy(pixels))
    assert found.classes == ("cat", "dog")
    assert found.test.labels.tolist() == [0, 1] * 6
    part.save_to_disk("alone")
    for name, message in (("alone", "expected a DatasetDict"), ("nowhere", "nowhere not found")):
        with pytest.raises(UserError, match=message):
            load_dataset(f"hf:{name}")
