"""What a user gives: a --config, a list of architectures, official splits, stored images, a folder of images."""

import contextlib
import io
import random
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from naswot_lightning.cli.parser import parse
from naswot_lightning.config import SearchConfig, TrainConfig
from naswot_lightning.data.image_folder import load_image_folder
from naswot_lightning.data.splits import describe_split, read_split_file
from naswot_lightning.search.algorithms.base import Limits
from naswot_lightning.search.algorithms.random import Listed, read_architectures
from naswot_lightning.search.plan import plan_search
from naswot_lightning.training.plan import plan_training
from spaces import get_space
from spaces.errors import TooLargeError
from tests.fuzz.run_files import dumped, make_run

_SOME = {
    SearchConfig: {"samples": 100, "space": "nds_darts:depth=8", "score": "naswot,snip", "seed": 3, "max_params": 9},
    TrainConfig: {"picks": "1,3-4", "epochs": 12, "lr": 0.1, "seeds": "7,8", "trainer": {"max_time": "00:01:00:00"}},
}  # fmt: skip


def make_config_of(kind) -> Callable:
    def make(rng):
        plain = {**asdict(kind()), **_SOME[kind]} if rng.random() < 0.5 else _SOME[kind]
        plain = {name: value for name, value in plain.items() if name not in ("overwrite", "trust")}
        return {"config.yaml": yaml.safe_dump(plain, sort_keys=False).encode()}

    return make


def read_search_config(folder: Path) -> None:
    """Read the options of a search and plan it; no data set is loaded."""
    config = parse(SearchConfig, ["--config", str(folder / "config.yaml")], "search.py")
    _written_again(folder, config)
    samples = 1 if config.samples == "all" else config.samples
    plan_search(replace(config, calibrate=False, samples=samples))


def read_train_config(folder: Path) -> None:
    """Read the options of a training and plan it, on a small ranking."""
    config = parse(TrainConfig, ["--config", str(folder / "config.yaml")], "train.py")
    _written_again(folder, config)
    for name, content in make_run(random.Random(2)).items():
        (folder / name).write_bytes(content)
    changes = {"architecture": None, "space": None, "split_file": None, "picks": None, "top": 1}
    plan_training(replace(config, run_dir=str(folder), **changes))


def _written_again(folder: Path, config) -> None:
    """What was read is written into the run folder, and is the same when that is read."""
    plain = {name: value for name, value in asdict(config).items() if name not in ("overwrite", "trust")}
    (folder / "again.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    assert asdict(parse(type(config), ["--config", str(folder / "again.yaml")], "again")) == asdict(config)


def make_list_of(name: str) -> Callable:
    def make(rng):
        architectures = [get_space(name).sample(rng) for _ in range(rng.randrange(1, 5))]
        if rng.random() < 0.3:
            rows = "".join(f'{number},"{each}"\n' for number, each in enumerate(architectures))
            return {"list.csv": f"rank,architecture\n{rows}".encode()}
        return {"list.txt": "".join(f"{each}\n" for each in architectures).encode()}

    return make


def read_list_of(name: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        """Read the candidates as a search does, with a limit, and look at the first of them."""
        space = get_space(name)
        architectures = read_architectures(space, next(folder.glob("list.*")))
        limits = Limits(10**9, 10**12, lambda each: space.complexity(each))
        for architecture in list(Listed(architectures[:2], limits).propose(())):
            with contextlib.suppress(TooLargeError):
                space.canonical(architecture)

    return read


def make_split(rng):
    order = list(range(20))
    rng.shuffle(order)
    halves = [str(i) for i in order[:10]], [str(i) for i in order[10:]]
    lists = dict(zip(("xvalid", "xtest"), (["int", half] for half in halves), strict=True))
    plain = {"cifar100": {"xvalid": order[:10], "xtest": order[10:]}}
    return {"split.json": dumped(rng.choice((lists, plain)))}


def read_split(folder: Path) -> None:
    describe_split("cifar100", folder / "split.json")
    valid, test = read_split_file(folder / "split.json", "cifar100", 20)
    assert sorted(valid + test) == list(range(20))


_FORMATS = {"png": "PNG", "jpg": "JPEG", "jpeg": "GIF", "bmp": "BMP", "webp": "WEBP", "tiff": "TIFF", "ppm": "PPM"}


def make_images(rng):
    suffix, files = rng.choice(sorted(_FORMATS)), {}
    for folder in ("train/a", "train/b", "test/a", "test/b"):
        pixels = np.frombuffer(rng.randbytes(8 * 8 * 3), np.uint8).reshape(8, 8, 3)
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, _FORMATS[suffix])
        files[f"{folder}/0.{suffix}"] = content.getvalue()
    return files


def read_images(folder: Path) -> None:
    for side in (8, None):
        dataset = load_image_folder(folder, side)
        assert dataset.train.images.shape[1:] == (8, 8, 3)
