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
            for path in (placed, placed_by_indices):
                result = path(images, draws, MEAN, STD)
                assert result.equal(expected)
                assert result.dtype == torch.float32
                assert result.is_contiguous(memory_format=torch.channels_last)


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
    draws = [draw_placements(len(images), True, 2, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    results = [placed(images, each, MEAN, STD) for each in draws]
    assert results[0].equal(results[1])
    assert not results[0].equal(results[2])
    assert torch.get_rng_state().equal(state)
