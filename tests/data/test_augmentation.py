import torch

from naswot_lightning.data.augmentation import draw_placements, normalized, placed, placed_by_indices

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


def test_both_paths_place_and_normalise_as_image_by_image():
    for shape in ((70, 8, 8, 3), (3, 32, 32, 3), (5, 6, 9, 3), (0, 4, 4, 3)):
        images = torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
        for flip, padding in ((True, 4), (False, 1), (True, 0), (False, 0), (True, 9)):
            draws = draw_placements(len(images), flip, padding, torch.Generator().manual_seed(5))
            expected = image_by_image(images, draws, padding)
            not_dense = images.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
            for path, given in ((placed, images), (placed, not_dense), (placed_by_indices, images)):
                result = path(given, draws, MEAN, STD)
                assert result.equal(expected)
                assert result.dtype == torch.float32
                assert result.is_contiguous(memory_format=torch.channels_last)
        draws = draw_placements(len(images), False, 0, torch.Generator())
        assert normalized(images, MEAN, STD).equal(image_by_image(images, draws, 0))


def test_draws_are_uniform_and_independent():
    state = torch.get_rng_state()
    mirrored, top, left = draw_placements(90_000, True, 4, torch.Generator().manual_seed(0))
    assert torch.get_rng_state().equal(state)
    cells = (mirrored.long() * 9 + top + 4) * 9 + left + 4
    counts = cells.bincount(minlength=162)
    expected = 90_000 / 162
    chi_squared = ((counts - expected) ** 2 / expected).sum().item()
    assert len(counts) == 162
    assert chi_squared < 161 + 5 * (2 * 161) ** 0.5
