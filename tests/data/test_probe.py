import pytest
import torch

from naswot_lightning.data.augmentation import normalized
from naswot_lightning.data.probe import draw_probe, load_probe
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import UserError


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


def test_probe_of_test_images_holds_all_of_them_and_the_other_no_one():
    digits = load_dataset("digits")
    probe = draw_probe(digits, len(digits.test), 0, split="test")
    expected = normalized(digits.test.images, torch.tensor(digits.mean), torch.tensor(digits.std))
    assert probe.images.equal(expected)
    assert probe.labels.equal(digits.test.labels)
    few, others = (draw_probe(digits, 32, seed, split="test") for seed in (0, 1))
    assert few.fingerprint != others.fingerprint
    assert draw_probe(digits, 32, 0).fingerprint == load_probe("digits", "", 32, 0).fingerprint != few.fingerprint
    with pytest.raises(UserError, match=rf"--batch_size 1000: digits has {len(digits.test)} test images"):
        draw_probe(digits, 1_000, 0, split="test")


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
