"""Classify images: ``python predict.py IMAGE ...``; needs torch, and Pillow for files other than .ppm."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import interpolate

HERE = Path(__file__).parent


def read_image(path: str) -> torch.Tensor:
    """Return the pixels of an image, (1, 3, H, W) from 0 to 1."""
    if path.endswith(".ppm"):
        content = Path(path).read_bytes()
        head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", content)
        assert head, f"{path}: expected a binary PPM file of 8 bits per channel"
        width, height, pixels = int(head[1]), int(head[2]), content[head.end() :]
    else:
        try:
            from PIL import Image
        except ImportError:
            sys.exit(f"{path}: files other than .ppm need Pillow: pip install pillow")
        image: Any = Image.open(path)
        known = image.mode != "F" and (image.mode != "I" or image.format in ("PNG", "PPM"))
        assert known, f"{path}: expected 8 or 16 bits per channel"
        if image.mode.startswith("I"):
            # Pillow would show all above 255 as white.
            bits = image.tag_v2.get(258, (16,))[0] if image.format == "TIFF" else 16
            image = image.convert("I").point(lambda value: value * 2 ** (8 - bits)).convert("L")
        image = image.convert("RGB")
        (width, height), pixels = image.size, image.tobytes()
    return torch.frombuffer(bytearray(pixels), dtype=torch.uint8).view(1, height, width, 3).permute(0, 3, 1, 2) / 255


def resize_and_crop(image: torch.Tensor, size: int) -> torch.Tensor:
    """Return the middle square of an image whose shorter side is resized to ``size``."""
    scale = size / min(image.shape[2:])
    height, width = (max(size, round(side * scale)) for side in image.shape[2:])
    image = interpolate(image, (height, width), mode="bilinear", antialias=True)
    top, left = (height - size) // 2, (width - size) // 2
    return image[:, :, top : top + size, left : left + size]


if __name__ == "__main__":
    facts, classes = (json.loads((HERE / name).read_text()) for name in ("model.json", "classes.json"))
    mean, std = (torch.tensor(facts[name]).view(3, 1, 1) for name in ("mean", "std"))
    network = torch.export.load(HERE / "model.pt2").module()
    if not sys.argv[1:]:
        sys.exit("name image files: python predict.py IMAGE ...")
    for path in sys.argv[1:]:
        try:
            image = resize_and_crop(read_image(path), facts["image_size"])
        except (OSError, AssertionError) as error:
            sys.exit(str(error))
        probabilities = network((image - mean) / std).softmax(1)[0]
        best = int(probabilities.argmax())
        print(f"{path}: {classes[best]} {100 * probabilities[best]:.1f} %")
