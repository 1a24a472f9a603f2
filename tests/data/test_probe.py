import pytest
import torch

from naswot_lightning.data.augmentation import normalized
from naswot_lightning.data.probe import draw_probe, load_probe
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import UserError


def test_probe_is_fixed_by_its_seed_with_the_same_images_augmented():
    """Each is the image itself, moved by at most one pixel: digits are padded by one and not mirrored."""
    for size, side in ((None, 16), (8, 8), (20, 20)):
        probe, again, other = (load_probe("digits", "", 64, seed, probe_size=size) for seed in (3, 3, 4))
        assert probe.images.shape == probe.augmented.shape == (64, 3, side, side)
        assert probe.image_size == 16
        assert probe.fingerprint == again.fingerprint != other.fingerprint
        assert probe.images.equal(again.images)
        assert probe.augmented.equal(again.augmented)
        moved = (probe.augmented - probe.images).flatten(1).abs().amax(1) > 0
        assert 0.7 < moved.float().mean() < 1.0  # 8 of 9 places are elsewhere
        if size is None:
            black = load_dataset("digits").mean[0] / load_dataset("digits").std[0]
            padded = torch.nn.functional.pad(probe.images, (1, 1, 1, 1), value=-black)
            shifts = [padded[:, :, top : top + 16, left : left + 16] for top in range(3) for left in range(3)]
            distances = torch.stack([(probe.augmented - shift).flatten(1).abs().amax(1) for shift in shifts])
            assert distances.amin(0).max() < 1e-6


def test_probe_holds_images_of_its_split_as_they_are():
    digits = load_dataset("digits")
    for split in ("train", "test"):
        drawn = getattr(digits, split)
        probe = draw_probe(digits, len(drawn), 0, split=split)
        expected = normalized(drawn.images, torch.tensor(digits.mean), torch.tensor(digits.std))
        assert probe.images.equal(expected)
        assert probe.labels.equal(drawn.labels)
        assert not probe.augmented.equal(draw_probe(digits, len(drawn), 1, split=split).augmented)
        assert expected.mean().item() == pytest.approx(0, abs=0.02)
        assert expected.std().item() == pytest.approx(1, abs=0.02)
        with pytest.raises(UserError, match=rf"--batch_size 1300: digits has only {len(drawn)} (training|test) images"):
            draw_probe(digits, 1_300, 0, split=split)


def test_noise_is_normal():
    probe = load_probe("noise", "", 256, 0)
    assert probe.augmented is None
    assert probe.images.shape == (256, 3, 32, 32)
    assert probe.images.mean().item() == pytest.approx(0, abs=0.01)
    assert probe.images.std().item() == pytest.approx(1, abs=0.01)
