import pytest

from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import UserError
from tests.images import make_image_folder


def test_image_folder_of_real_cifar_images(shared):
    folder = load_dataset("imagefolder", shared("cifar10-images"))
    assert (len(folder.train), len(folder.val), len(folder.test)) == (2_250, 250, 1_000)
    assert folder.num_classes == 10
    assert folder.image_size == 32
    # CIFAR-10's published channel means, which 2,250 of its images meet within a few units of 255.
    assert folder.mean == pytest.approx((125.3, 123.0, 113.9), abs=6)


def test_image_folder_with_val_and_test_keeps_all_of_train(tmp_path):
    root = make_image_folder(tmp_path / "x", {"train": 5, "val": 2, "test": 3})
    folder = load_dataset("imagefolder", root)
    assert (len(folder.train), len(folder.val), len(folder.test)) == (15, 6, 9)


def test_images_of_other_sizes_are_resized_and_cropped(tmp_path):
    root = make_image_folder(tmp_path / "x", {"train": 4}, size=20)
    make_image_folder(root, {"test": 2}, size=9)
    assert load_dataset("imagefolder", root, image_size=12).train.images.shape == (11, 12, 12, 3)
    make_image_folder(root, {"val": 1}, size=8)
    (root / "val" / "cat" / "000.png").unlink()
    make_image_folder(root / "more", {"val": 1}, classes=("cat",), size=10)
    (root / "more" / "val" / "cat" / "000.png").rename(root / "val" / "cat" / "a.png")
    assert load_dataset("imagefolder", root).val.images.shape[1] == 20


def _without(root, name):
    (root / name).rename(root / "elsewhere")


def _with_broken_image(root):
    (root / "train" / "dog" / "000.png").write_bytes(b"not a picture")


def _with_a_truncated_image(root):
    path = root / "train" / "dog" / "000.png"
    path.write_bytes(path.read_bytes()[:60])


def _with_another_class(root):
    (root / "test" / "eel").rename(root / "test" / "eagle")


def _with_an_empty_class(root):
    for file in (root / "train" / "cat").iterdir():
        file.unlink()


def _with_mixed_sizes(root):
    (root / "train" / "cat" / "000.png").unlink()
    make_image_folder(root / "more", {"train": 1}, classes=("cat",), size=10)
    (root / "more" / "train" / "cat" / "000.png").rename(root / "train" / "cat" / "a.png")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: _without(root, "train"), "no train/ folder"),
        (lambda root: _without(root, "test"), "no test/ or val/ folder"),
        (_with_broken_image, "dog/000.png is not a readable image"),
        (_with_a_truncated_image, "dog/000.png is not a readable image"),
        (_with_another_class, "in one of them only: eagle, eel"),
        (_with_an_empty_class, "cat"),
        (_with_mixed_sizes, "--image_size"),
    ],
)
def test_a_damaged_image_folder_is_one_line(tmp_path, damage, message):
    root = make_image_folder(tmp_path / "x", {"train": 3, "test": 2})
    damage(root)
    with pytest.raises(UserError, match=message) as caught:
        load_dataset("imagefolder", root)
    assert "\n" not in str(caught.value)
