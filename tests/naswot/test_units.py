"""Which units have a code: rectifiers, or smooth activations, too."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from naswot_lightning import activation_kernel, naswot_score
from naswot_lightning.callbacks import ScoreTrajectory
from naswot_lightning.naswot import NoRectifierError
from naswot_lightning.scores import SCORES
from naswot_lightning.scores.registry import compute_scores, probe_of
from tests.brute_force import brute_force_kernel, images_of

SMOOTH = (nn.GELU, nn.SiLU, nn.Hardswish, nn.ELU, nn.SELU, nn.CELU, nn.Mish, nn.Softplus)
KINDS = (*SMOOTH, nn.ReLU)


class Words(nn.Module):
    """A transformer over (N, length) words, with the words outermost inside."""

    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(50, 16), nn.Linear(16, 3)
        layer = nn.TransformerEncoderLayer(16, 2, 32, activation=nn.GELU())
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, words):
        return self.head(self.encoder(self.embedding(words).transpose(0, 1)).mean(0))


def layers_of(network, inputs):
    """Return what its activations are given, each (N, ...), as hooks see it."""
    seen = []
    for module in network.modules():
        if isinstance(module, KINDS):
            module.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().clone().numpy()))
    with torch.no_grad():
        network.eval()(inputs)
    return seen


def smooth_network(*kinds):
    torch.manual_seed(0)
    parts = [part for kind in kinds for part in (nn.Conv2d(3, 3, 3, padding=1), kind())]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(192, 5))


@pytest.mark.parametrize("kinds", [SMOOTH, (nn.ReLU, nn.GELU)])
def test_all_units_equal_brute_force(kinds):
    network, images = smooth_network(*kinds), images_of(6)
    kernel = activation_kernel(network, images, units="all")
    np.testing.assert_array_equal(kernel.matrix.numpy(), brute_force_kernel(layers_of(network, images)))
    assert (kernel.n_units, kernel.counted, kernel.smooth_units) == (192 * len(kinds), "all", 0)


def test_words_with_the_length_outermost():
    torch.manual_seed(0)
    network, words = Words(), torch.randint(0, 50, (7, 5))
    kernel = activation_kernel(network, words, units="auto")
    layers = [layer.swapaxes(0, 1) for layer in layers_of(network, words)]
    np.testing.assert_array_equal(kernel.matrix.numpy(), brute_force_kernel(layers))
    assert kernel.n_units == 2 * 5 * 32


def test_auto_takes_rectifiers_where_there_are_any():
    mixed, images = smooth_network(nn.ReLU, nn.GELU), images_of(6)
    only, found = activation_kernel(mixed, images), activation_kernel(mixed, images, units="auto")
    assert torch.equal(found.matrix, only.matrix)
    assert (found.counted, found.n_units, found.smooth_units) == ("rectifiers", 192, 192)
    smooth = smooth_network(nn.GELU)
    assert naswot_score(smooth, images, units="auto") == naswot_score(smooth, images, units="all")
    assert activation_kernel(smooth, images, units="auto").counted == "all"


def test_what_counts_nothing_says_what_would():
    images = images_of(6)
    with pytest.raises(NoRectifierError, match=r"no rectified linear unit .*: units 'all' counts its 192 smooth ones"):
        naswot_score(smooth_network(nn.GELU), images)
    for units in ("all", "auto"):
        with pytest.raises(NoRectifierError, match=r"called no rectified or smooth unit .*: the score needs at least"):
            naswot_score(nn.Flatten(), images, units=units)
    with pytest.raises(ValueError, match="units 'auto' and variant 'reference'"):
        naswot_score(nn.ReLU(), images, "reference", units="auto")


def test_every_score_of_codes_sees_the_same_units():
    """A network of Softplus(beta=1000) is one of ReLU to the last digits, units and all."""

    class Network(nn.Module):
        def __init__(self, rectify):
            super().__init__()
            torch.manual_seed(0)
            self.first, self.second, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(8, 4)
            self.rectify = rectify

        def forward(self, x):
            return self.head(self.rectify(self.second(self.rectify(self.first(x)))).mean((2, 3)))

    names = [name for name, family in SCORES.items() if family in ("activation", "channels")] + ["naswot"]
    images = images_of(16)
    sharp, relu = Network(lambda x: F.softplus(x, beta=1000)), Network(F.relu)
    probe = probe_of(relu, images, None, names)
    expected = compute_scores(relu, probe, names)
    assert compute_scores(sharp, probe, names, units="auto") == pytest.approx(expected, rel=1e-3)
    assert len(names) > 6
    assert ScoreTrajectory(images, units="auto").units == "auto"
