"""Files in an image folder that are no images, or of a size that nobody decodes: one line with the file's name."""

import os
import struct
import time
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import UserError
from tests.images import make_image_folder

NAME = os.path.join("train", "dog", "000.png")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *chunks):
    """A PNG whose header says a size, with the data of one row of a single pixel."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + b"".join(chunks)
        + chunk(b"IDAT", zlib.compress(b"\0" * 4))
        + chunk(b"IEND", b"")
    )


def bmp(width, height):
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *6 * [0])


def gif(width, height):
    return (
        b"GIF89a"
        + struct.pack("<HH", width, height)
        + b"\0\0\0"
        + b","
        + struct.pack("<HHHHBBH", 0, 0, width, height, 0, 8, 0)
    )


TOO_LARGE = "is too large an image: .*expected at most 16,384 pixels a side and 67 million in all; resize or remove it"
UNREADABLE = "is not a readable image .*; replace or remove it"


FILES = {
    "pillow's error": (png(30_000, 30_000), TOO_LARGE),
    "pillow's warning": (png(10_000, 10_000), TOO_LARGE),
    "the largest header": (png(2**31 - 1, 2**31 - 1), TOO_LARGE),
    "many pixels": (png(9_000, 9_000), TOO_LARGE),
    "a column": (png(1, 60_000), TOO_LARGE),
    "a row": (png(60_000, 1), TOO_LARGE),
    "bmp": (bmp(30_000, 30_000), TOO_LARGE),
    "gif": (gif(65_535, 65_535), TOO_LARGE),
    "ppm": (b"P6 30000 30000 255\n", TOO_LARGE),
    "a strip": (png(3, 301), "is 3x301: its longer side is more than 100 times the shorter one; crop or remove it"),
    "no width": (png(0, 8), UNREADABLE),
    "one row of eight": (png(8, 8), UNREADABLE),
    "a comment of 128 MB": (png(8, 8, chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 2**27))), UNREADABLE),
    "bmp without pixels": (bmp(8, 8), UNREADABLE),
    "gif without pixels": (gif(8, 8), UNREADABLE),
    "ppm without pixels": (b"P6 8 8 255\n", UNREADABLE),
    "ppm of 5,000 digits": (b"P6 " + b"9" * 5_000 + b" 8 255\n", UNREADABLE),
    "nothing": (b"", UNREADABLE),
    "the first bytes of a jpeg": (b"\xff\xd8\xff\xe0", UNREADABLE),
    "text": (b"not a picture\n" * 1_000, UNREADABLE),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n", UNREADABLE),
}


@pytest.mark.parametrize("image_size", [None, 8])
@pytest.mark.parametrize("kind", FILES)
def test_what_is_no_image_is_one_line(tmp_path, recwarn, kind, image_size):
    root = make_image_folder(tmp_path / "x", {"train": 2, "test": 1})
    content, message = FILES[kind]
    (root / NAME).write_bytes(content)
    assert_refused(root, f"{NAME} {message}", image_size)
    assert not recwarn.list


@pytest.mark.parametrize("image_size", [None, 8])
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "tiff", "webp", "ppm"])
def test_a_truncated_image_of_any_format_is_one_line_or_an_image(tmp_path, suffix, image_size):
    root = make_image_folder(tmp_path / "x", {"train": 2, "test": 1})
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / f"whole.{suffix}")
    whole = (tmp_path / f"whole.{suffix}").read_bytes()
    for length in range(0, len(whole) - 1, max(1, len(whole) // 20)):
        (root / NAME).write_bytes(whole[:length])
        message = message_of(root, image_size)
        assert NAME in message
        assert "\n" not in message


def message_of(root, image_size):
    """What is said of a folder; its broken file's name where nothing is: a format may fill up what is missing."""
    try:
        load_dataset("imagefolder", root, image_size)
    except UserError as error:
        return str(error)
    return NAME


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/urandom", "/dev/null", "/dev/stdin", "/nowhere/at/all"])
def test_a_link_to_a_device_or_to_nothing_is_one_line(tmp_path, target):
    root = make_image_folder(tmp_path / "x", {"train": 2, "test": 1})
    (root / NAME).unlink()
    (root / NAME).symlink_to(target)
    assert_refused(root, f"{NAME} is not a re(gular file|adable image .*); replace or remove it")


def test_a_pipe_is_one_line(tmp_path):
    root = make_image_folder(tmp_path / "x", {"train": 2, "test": 1})
    (root / NAME).unlink()
    os.mkfifo(root / NAME)
    assert_refused(root, f"{NAME} is not a regular file; replace or remove it")


def assert_refused(root, message, image_size=None):
    start = time.perf_counter()
    with pytest.raises(UserError, match=message) as caught:
        load_dataset("imagefolder", root, image_size)
    assert time.perf_counter() - start < 5
    assert "\n" not in str(caught.value)


def test_a_link_to_an_image_and_another_format_under_a_suffix_are_images(tmp_path):
    root = make_image_folder(tmp_path / "x", {"train": 2, "test": 1})
    plain = load_dataset("imagefolder", root)
    (root / NAME).rename(tmp_path / "elsewhere.png")
    (root / NAME).symlink_to(tmp_path / "elsewhere.png")
    assert torch.equal(load_dataset("imagefolder", root).train.images, plain.train.images)
    for suffix in ("bmp", "gif", "tiff", "webp", "ppm", "jpg"):
        Image.open(tmp_path / "elsewhere.png").save(tmp_path / f"other.{suffix}")
        (root / NAME).unlink()
        (tmp_path / f"other.{suffix}").rename(root / NAME)
        assert load_dataset("imagefolder", root).train.images.shape == plain.train.images.shape


def test_an_image_as_long_as_is_allowed_is_resized_and_cropped(tmp_path):
    root = make_image_folder(tmp_path / "x", {"train": 2, "test": 1})
    Image.new("RGB", (3, 300), (9, 8, 7)).save(root / NAME)
    images = load_dataset("imagefolder", root, 16).train.images
    assert images.shape[1:] == (16, 16, 3)
    assert any((image.flatten(0, 1) == torch.tensor([9, 8, 7])).all() for image in images)


def test_images_of_many_sizes_are_refused_by_their_headers(tmp_path):
    """Decoded first, a folder of photographs would fill the memory before it is said that a side must be given."""
    root = make_image_folder(tmp_path / "x", {"train": 2, "test": 1})
    (root / NAME).write_bytes(png(4_000, 4_000))  # which has no pixels: to decode it is another fault
    assert_refused(root, f"{NAME} is 4000x4000, others differ or are not square: give a side with --image_size")


def test_a_side_that_no_image_is_resized_to_is_one_line(tmp_path):
    root = make_image_folder(tmp_path / "x", {"train": 2, "test": 1})
    assert_refused(root, "--image_size 1000000: expected at most 4,096", 1_000_000)


def test_grey_of_16_bits_is_scaled_and_numbers_without_a_range_are_refused(tmp_path):
    root = make_image_folder(tmp_path / "x", {"train": 2, "test": 1})
    Image.fromarray(np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)).save(root / NAME)
    images = load_dataset("imagefolder", root).train.images
    expected = torch.arange(0, 256, 4, dtype=torch.uint8).reshape(8, 8, 1).expand(8, 8, 3)
    assert any(torch.equal(image, expected) for image in images)
    (root / NAME).unlink()
    for kind in (np.float32, np.int32):
        Image.fromarray(np.ones((8, 8), kind)).save(root / NAME.replace("png", "tiff"))
        assert_refused(root, "000.tiff has floats, or integers of 32 bits, .*; save it with 8 or 16 bits")


def test_loops_of_links_end_and_what_programs_leave_behind_is_no_image(tmp_path):
    root = make_image_folder(tmp_path / "x", {"train": 2, "test": 1})
    plain = load_dataset("imagefolder", root)
    for name in ("one", "two"):
        (root / "train" / "cat" / name).symlink_to("..")
        (root / "train" / "dog" / name).symlink_to(".")
    (root / "train" / "._cat.png").write_bytes(b"")
    (root / NAME).with_name("._000.png").write_bytes(b"")
    for folder in (root / "train", root / "test" / "dog"):
        (folder / ".ipynb_checkpoints").mkdir()
        (folder / ".ipynb_checkpoints" / "000-checkpoint.png").write_bytes(b"")
    found = load_dataset("imagefolder", root)
    assert torch.equal(found.train.images, plain.train.images)
    assert torch.equal(found.train.labels, plain.train.labels)
    assert found.num_classes == 3
