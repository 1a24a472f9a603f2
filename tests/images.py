"""Small folders of real image files, made by the tests."""

from pathlib import Path

import numpy as np
from PIL import Image


def make_image_folder(root: Path, splits: dict[str, int], classes=("cat", "dog", "eel"), size=8, seed=0) -> Path:
    """Write ``splits[name]`` images a class; classes differ in colour, so that a network can learn them."""
    rng = np.random.default_rng(seed)
    for split, count in splits.items():
        for position, name in enumerate(classes):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 150, (size, size, 3))
                pixels[..., position % 3] += 100
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:03d}.png")
    return root
