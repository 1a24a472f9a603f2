import hashlib
import http.server
import tarfile
import threading

import pytest
import torch
from lightning_fabric.utilities.data import _set_sampler_epoch
from lightning_fabric.utilities.distributed import DistributedSamplerWrapper
from pytorch_lightning.utilities.data import _update_dataloader
from torch.utils.data import DistributedSampler, SequentialSampler
from torchvision import datasets

from naswot_lightning.data.augmentation import augmented, draw_placements, normalized, placed, placed_by_indices
from naswot_lightning.data.catalog import load_dataset
from naswot_lightning.data.dataset import Dataset, ImageSplit
from naswot_lightning.data.module import EpochShuffle, ImageDataModule
from naswot_lightning.data.probe import load_probe
from naswot_lightning.data.splits import held_out
from naswot_lightning.errors import UserError
from tests.archives import md5_of, write_cifar10
from tests.images import make_image_folder


def test_digits_are_real_and_split_without_overlap():
    digits = load_dataset("digits")
    assert [len(s) for s in (digits.train, digits.val, digits.test)] == [1_203, 297, 297]
    assert digits.train.images.shape[1:] == (16, 16, 3)
    assert digits.train.images.dtype == torch.uint8
    assert not digits.flip
    rows = {
        name: {hashlib.md5(i.numpy().tobytes()).hexdigest() for i in getattr(digits, name).images}
        for name in ("train", "val", "test")
    }
    assert not rows["train"] & rows["test"]
    assert not rows["train"] & rows["val"]
    assert sorted(set(digits.test.labels.tolist())) == list(range(10))


def test_held_out_parts_cover_everything_once():
    keep, hold = held_out(100, 0.3)
    assert sorted(keep + hold) == list(range(100))
    assert len(hold) == 30
    assert (keep, hold) == held_out(100, 0.3)
    assert hold != held_out(100, 0.3, seed=1)[1]


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


def test_unknown_data_sets_and_sizes(tmp_path):
    with pytest.raises(UserError, match="did you mean 'cifar10'"):
        load_dataset("cifar-10")
    with pytest.raises(UserError, match="the size of digits is fixed"):
        load_dataset("digits", image_size=12)
    with pytest.raises(UserError, match="digits has 1203 training images"):
        load_probe("digits", tmp_path, 1_204, 0)


@pytest.fixture
def cifar_server(tmp_path, monkeypatch):
    """A server of an archive in CIFAR-10's official format, its checksums those that torchvision expects."""
    folder = write_cifar10(tmp_path / "served", monkeypatch)
    with tarfile.open(tmp_path / "served" / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(folder, "cifar-10-batches-py")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=str(tmp_path / "served"), **kwargs)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    source = datasets.CIFAR10
    monkeypatch.setattr(source, "url", f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz")
    monkeypatch.setattr(source, "tgz_md5", md5_of(tmp_path / "served" / "cifar-10-python.tar.gz"))
    yield server
    server.shutdown()
    server.server_close()


def test_cifar_is_downloaded_checked_and_found_again(cifar_server, tmp_path):
    first = load_dataset("cifar10", tmp_path / "data")
    assert (len(first.train), first.val, len(first.test)) == (200, None, 40)
    assert first.mean == (125.3, 123.0, 113.9)
    cifar_server.shutdown()
    again = load_dataset("cifar10", tmp_path / "data")
    assert again.train.images.equal(first.train.images)


def test_damaged_cifar_without_a_network_says_what_to_put_where(cifar_server, tmp_path, monkeypatch):
    load_dataset("cifar10", tmp_path / "data")
    cifar_server.shutdown()
    cifar_server.server_close()
    (tmp_path / "data" / "cifar-10-python.tar.gz").unlink()
    (tmp_path / "data" / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"cut")
    with pytest.raises(UserError, match=r"damaged or incomplete .*cannot be downloaded.*cifar-10-python.tar.gz \(md5"):
        load_dataset("cifar10", tmp_path / "data")


def test_missing_cifar_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.CIFAR100, "url", "http://127.0.0.1:9/cifar-100-python.tar.gz")
    with pytest.raises(UserError, match=r"cifar100 in .* is not there and cannot be downloaded.*--data_dir"):
        load_dataset("cifar100", tmp_path / "data")


@pytest.mark.parametrize(("size", "shape"), [(None, 16), (8, 8), (20, 20)])
def test_probe_is_fixed_by_its_seed(size, shape):
    first = load_probe("digits", "", 32, 3, probe_size=size)
    again = load_probe("digits", "", 32, 3, probe_size=size)
    other = load_probe("digits", "", 32, 4, probe_size=size)
    assert first.images.shape == (32, 3, shape, shape)
    assert first.image_size == 16
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.images.equal(again.images)


def test_probe_holds_training_images_as_they_are():
    digits = load_dataset("digits")
    probe = load_probe("digits", "", 1_203, 0)
    expected = normalized(digits.train.images, torch.tensor(digits.mean), torch.tensor(digits.std))
    assert probe.images.equal(expected)
    assert expected.mean().item() == pytest.approx(0, abs=1e-3)
    assert expected.std().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("size", [None, 8])
def test_probe_holds_the_same_images_augmented(size):
    """Each is the image itself, moved by at most one pixel: digits are padded by one and not mirrored."""
    probe, again = (load_probe("digits", "", 64, 0, probe_size=size) for _ in range(2))
    assert probe.augmented.equal(again.augmented)
    assert probe.augmented.shape == probe.images.shape
    moved = (probe.augmented - probe.images).flatten(1).abs().amax(1) > 0
    assert 0.7 < moved.float().mean() < 1.0  # 8 of 9 places are elsewhere
    if size is None:
        black = load_dataset("digits").mean[0] / load_dataset("digits").std[0]
        padded = torch.nn.functional.pad(probe.images, (1, 1, 1, 1), value=-black)
        shifts = [padded[:, :, top : top + 16, left : left + 16] for top in range(3) for left in range(3)]
        distances = torch.stack([(probe.augmented - shift).flatten(1).abs().amax(1) for shift in shifts])
        assert distances.amin(0).max() < 1e-6


def test_noise_is_normal():
    probe = load_probe("noise", "", 256, 0)
    assert probe.augmented is None
    assert probe.images.shape == (256, 3, 32, 32)
    assert probe.images.mean().item() == pytest.approx(0, abs=0.01)
    assert probe.images.std().item() == pytest.approx(1, abs=0.01)


MEAN, STD = torch.tensor([125.3, 123.0, 113.9]), torch.tensor([63.0, 62.1, 66.7])


def image_by_image(images, draws, padding):
    """Mirror, pad and cut one image after the other, then normalise: what the fast paths must equal to the bit."""
    height, width = images.shape[1:3]
    results = []
    for image, mirrored, top, left in zip(images, *draws, strict=True):
        image = image.flip(1) if mirrored else image
        padded = torch.zeros(height + 2 * padding, width + 2 * padding, image.shape[2], dtype=torch.uint8)
        padded[padding : padding + height, padding : padding + width] = image
        cut = padded[top + padding : top + padding + height, left + padding : left + padding + width]
        results.append(((cut.float() - MEAN) / STD).permute(2, 0, 1))
    return torch.stack(results) if results else torch.empty(0, 3, height, width)


@pytest.mark.parametrize(("flip", "padding"), [(True, 4), (False, 1), (True, 0), (False, 0), (True, 9)])
@pytest.mark.parametrize("shape", [(70, 8, 8, 3), (3, 32, 32, 3), (5, 6, 9, 3), (0, 4, 4, 3)])
def test_both_paths_place_and_normalise_as_image_by_image(flip, padding, shape):
    images = torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    draws = draw_placements(len(images), flip, padding, torch.Generator().manual_seed(5))
    expected = image_by_image(images, draws, padding)
    for path in (placed, placed_by_indices):
        result = path(images, draws, MEAN, STD)
        assert result.equal(expected)
        assert result.dtype == torch.float32
        assert result.is_contiguous(memory_format=torch.channels_last)
    assert augmented(images, flip, padding, torch.Generator().manual_seed(5), MEAN, STD).equal(expected)


def test_images_that_are_not_dense_are_placed_too():
    images = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8).permute(0, 2, 3, 1)
    draws = draw_placements(4, True, 2, torch.Generator().manual_seed(0))
    assert placed(images, draws, MEAN, STD).equal(placed(images.contiguous(), draws, MEAN, STD))


def test_normalising_is_subtraction_and_division():
    images = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 16, 16, 3)
    assert normalized(images, MEAN, STD).equal(((images.float() - MEAN) / STD).permute(0, 3, 1, 2))


def test_draws_are_uniform_and_independent():
    mirrored, top, left = draw_placements(90_000, True, 4, torch.Generator().manual_seed(0))
    cells = (mirrored.long() * 9 + top + 4) * 9 + left + 4
    counts = cells.bincount(minlength=162)
    expected = 90_000 / 162
    chi_squared = ((counts - expected) ** 2 / expected).sum().item()
    assert len(counts) == 162
    assert chi_squared < 161 + 5 * (2 * 161) ** 0.5


def test_augmentation_depends_on_its_generator_alone():
    images = torch.randint(256, (16, 8, 8, 3), dtype=torch.uint8)
    state = torch.get_rng_state()
    draws = [augmented(images, True, 2, torch.Generator().manual_seed(seed), MEAN, STD) for seed in (1, 1, 2)]
    assert draws[0].equal(draws[1])
    assert not draws[0].equal(draws[2])
    assert torch.get_rng_state().equal(state)


def test_augmentation_leaves_the_number_of_threads_alone():
    images = torch.randint(256, (16, 8, 8, 3), dtype=torch.uint8)
    before = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            normalized(images, MEAN, STD)
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)


def test_epochs_are_shuffled_by_seed_and_epoch():
    order = EpochShuffle(50, seed=1)
    first = list(order)
    order.set_epoch(1)
    second = list(order)
    order.set_epoch(0)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert list(order) == first


def test_mini_batches_are_gathered_whole():
    module = ImageDataModule("digits", "", batch_size=500)
    batches = list(module.train_dataloader())
    assert [len(labels) for _, labels in batches] == [500, 500, 203]
    assert batches[0][0].shape == (500, 16, 16, 3)
    assert batches[0][0].dtype == torch.uint8
    labels = torch.cat([labels for _, labels in batches])
    assert labels.bincount().equal(module.dataset.train.labels.bincount())


def _distributed(loader, epoch, rank, replicas=3):
    """The mini-batches of one of several processes, its sampler replaced as the Trainer does."""
    sampler = DistributedSamplerWrapper(loader.sampler, num_replicas=replicas, rank=rank, shuffle=True, seed=7)
    loader = _update_dataloader(loader, sampler)
    _set_sampler_epoch(loader, epoch)
    return list(loader)


def test_distributed_processes_see_disjoint_parts_of_each_epoch(tmp_path):
    images = torch.zeros(300, 2, 2, 3, dtype=torch.uint8)
    split = ImageSplit(images, torch.arange(300))
    dataset = Dataset("digits", split, split, split, 300, (1.0,) * 3, (1.0,) * 3, False, 0)
    orders = []
    for epoch in (0, 1, 0):
        loaders = [ImageDataModule("digits", "", 32, dataset=dataset).train_dataloader() for _ in range(3)]
        parts = [_distributed(loader, epoch, rank) for rank, loader in enumerate(loaders)]
        assert [[len(labels) for _, labels in part] for part in parts] == [[32, 32, 32, 4]] * 3
        seen = [torch.cat([labels for _, labels in part]) for part in parts]
        assert torch.cat(seen).sort().values.equal(torch.arange(300))
        orders.append(torch.stack(seen))
    assert orders[0].equal(orders[2])
    assert not orders[0].equal(orders[1])


def test_the_epochs_order_reaches_the_processes_parts():
    """Without a shuffle of its own the wrapper deals out the order of the epoch in turn."""
    order = EpochShuffle(10, seed=3)
    wrappers = [DistributedSamplerWrapper(order, num_replicas=2, rank=rank, shuffle=False) for rank in (0, 1)]
    for epoch in (0, 4):
        for wrapper in wrappers:
            wrapper.set_epoch(epoch)
        expected = EpochShuffle(10, seed=3)
        expected.set_epoch(epoch)
        whole = list(expected)
        assert [list(wrapper) for wrapper in wrappers] == [whole[::2], whole[1::2]]


def test_evaluation_is_dealt_out_in_turn():
    loader = ImageDataModule("digits", "", batch_size=50).test_dataloader()
    assert isinstance(loader.sampler, SequentialSampler)  # which the Trainer replaces by a DistributedSampler
    parts = [list(DistributedSampler(loader.dataset, 3, rank, shuffle=False)) for rank in range(3)]
    assert sorted(index for part in parts for index in part) == list(range(297))
