"""A folder of images: what is read of it, and files in it that are no images or of a size that nobody decodes."""

import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import UserError
from tests.images import make_image_folder

IMAGE = os.path.join("train", "dog", "000.png")


@pytest.fixture
def root(tmp_path):
    return make_image_folder(tmp_path / "x", {"train": 2, "test": 1})


def assert_refused(root, message, image_size=None):
    with pytest.raises(UserError, match=message) as caught:
        load_dataset("imagefolder", root, image_size)
    assert "\n" not in str(caught.value)


def test_image_folder_of_real_cifar_images(shared):
    folder = load_dataset("imagefolder", shared("cifar10-images"))
    assert (len(folder.train), len(folder.val), len(folder.test)) == (2_250, 250, 1_000)
    assert folder.num_classes == 10
    assert folder.image_size == 32
    # CIFAR-10's published channel means, which 2,250 of its images meet within a few units of 255.
    assert folder.mean == pytest.approx((125.3, 123.0, 113.9), abs=6)


def test_images_of_other_sizes_are_resized_and_cropped_and_val_beside_test_keeps_all_of_train(tmp_path):
    root = make_image_folder(tmp_path / "x", {"train": 4}, size=20)
    make_image_folder(root, {"test": 2}, size=9)
    assert load_dataset("imagefolder", root, image_size=12).train.images.shape == (11, 12, 12, 3)
    make_image_folder(root, {"val": 1}, size=8)
    Image.new("RGB", (10, 10)).save(root / "val" / "cat" / "000.png")
    folder = load_dataset("imagefolder", root)
    assert (len(folder.train), len(folder.val), len(folder.test)) == (12, 3, 6)
    assert folder.val.images.shape[1] == 20


def test_image_folder_damaged_is_one_line(tmp_path):
    for number, (damage, message) in enumerate(
        (
            (lambda root: (root / "train").rename(root / "elsewhere"), "no train/ folder"),
            (lambda root: (root / "test").rename(root / "elsewhere"), "no test/ or val/ folder"),
            (
                lambda root: (root / "test" / "eel").rename(root / "test" / "eagle"),
                "only one of the two has eagle, eel",
            ),
            (lambda root: [each.unlink() for each in (root / "train" / "cat").iterdir()], "has no images of cat"),
        )
    ):
        root = make_image_folder(tmp_path / str(number), {"train": 3, "test": 2})
        damage(root)
        assert_refused(root, message)
    assert_refused(root, "--image_size 1000000: expected at most 4,096", 1_000_000)


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *chunks):
    """A PNG whose header says a size, with the data of one row of a single pixel."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress(b"\0" * 4))
    return b"".join([b"\x89PNG\r\n\x1a\n", header, *chunks, pixels, _chunk(b"IEND", b"")])


def bmp(width, height):
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *6 * [0])


TOO_LARGE = "is too large: .*expected at most 16,384 pixels a side and 67 million in all; resize or remove it"
UNREADABLE = "is not a readable image .*; replace or remove it"


def test_image_folder_with_a_file_that_is_no_image_is_one_line(root, recwarn):
    for content, message in (
        (png(30_000, 30_000), TOO_LARGE),  # an error of Pillow's
        (png(10_000, 10_000), TOO_LARGE),  # a warning of Pillow's
        (png(9_000, 9_000), TOO_LARGE),  # our bound of pixels
        (png(1, 60_000), TOO_LARGE),  # our bound of a side
        (bmp(30_000, 30_000), TOO_LARGE),
        (b"P6 30000 30000 255\n", TOO_LARGE),
        (png(3, 301), "is 3x301: its longer side is more than 100 times the shorter one; crop or remove it"),
        (png(0, 8), UNREADABLE),
        (png(8, 8), UNREADABLE),  # one row of eight
        (png(8, 8, _chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 2**27))), UNREADABLE),  # a comment of 128 MB
        (bmp(8, 8), UNREADABLE),  # without pixels
        (b"", UNREADABLE),
        # Pillow would run a program to draw it.
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n", UNREADABLE),
    ):
        (root / IMAGE).write_bytes(content)
        for image_size in (None, 8):
            assert_refused(root, f"{IMAGE} {message}", image_size)
    assert not recwarn.list
    # Decoded first, a folder of photographs would fill the memory before it is said that a side must be given.
    (root / IMAGE).write_bytes(png(4_000, 4_000))
    assert_refused(root, f"{IMAGE} is 4000x4000, others differ or are not square: give a side with --image_size")
    Image.new("RGB", (3, 300), (9, 8, 7)).save(root / IMAGE)
    images = load_dataset("imagefolder", root, 16).train.images
    assert any((image.flatten(0, 1) == torch.tensor([9, 8, 7])).all() for image in images)


def test_image_folder_with_a_device_a_pipe_or_a_broken_link_is_one_line(root, tmp_path):
    (root / IMAGE).unlink()
    for make in (lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to("/nowhere/at/all"), os.mkfifo):
        make(root / IMAGE)
        assert_refused(root, f"{IMAGE} is not a re(gular file|adable image .*); replace or remove it")
        (root / IMAGE).unlink()


def test_a_link_to_an_image_and_another_format_under_a_suffix_are_images(root, tmp_path):
    plain = load_dataset("imagefolder", root)
    (root / IMAGE).rename(tmp_path / "elsewhere.png")
    (root / IMAGE).symlink_to(tmp_path / "elsewhere.png")
    assert torch.equal(load_dataset("imagefolder", root).train.images, plain.train.images)
    for suffix in ("bmp", "gif", "tiff", "webp", "ppm", "jpg"):
        Image.open(tmp_path / "elsewhere.png").save(tmp_path / f"other.{suffix}")
        (root / IMAGE).unlink()
        (tmp_path / f"other.{suffix}").rename(root / IMAGE)
        assert load_dataset("imagefolder", root).train.images.shape == plain.train.images.shape


def test_grey_of_16_bits_is_scaled_and_numbers_without_a_range_are_refused(root):
    Image.fromarray(np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)).save(root / IMAGE)
    images = load_dataset("imagefolder", root).train.images
    expected = torch.arange(0, 256, 4, dtype=torch.uint8).reshape(8, 8, 1).expand(8, 8, 3)
    assert any(torch.equal(image, expected) for image in images)
    (root / IMAGE).unlink()
    for kind in (np.float32, np.int32):
        Image.fromarray(np.ones((8, 8), kind)).save(root / IMAGE.replace("png", "tiff"))
        assert_refused(root, "000.tiff has floats or 32-bit integers, .*; save it with 8 or 16 bits")


def test_loops_of_links_end_and_what_programs_leave_behind_is_no_image(root):
    plain = load_dataset("imagefolder", root)
    for name in ("one", "two"):
        (root / "train" / "cat" / name).symlink_to("..")
        (root / "train" / "dog" / name).symlink_to(".")
    (root / "train" / "._cat.png").write_bytes(b"")
    (root / IMAGE).with_name("._000.png").write_bytes(b"")
    for folder in (root / "train", root / "test" / "dog"):
        (folder / ".ipynb_checkpoints").mkdir()
        (folder / ".ipynb_checkpoints" / "000-checkpoint.png").write_bytes(b"")
    found = load_dataset("imagefolder", root)
    assert torch.equal(found.train.images, plain.train.images)
    assert torch.equal(found.train.labels, plain.train.labels)
    assert found.num_classes == 3
