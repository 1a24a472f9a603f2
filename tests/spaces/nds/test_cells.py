"""The networks of the NDS cell spaces: sizes, rectified units, operations, auxiliary head, drop path."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from naswot_lightning import activation_kernel, naswot_score
from spaces import get_space
from spaces.nds.cells import GENOTYPES
from spaces.nds.genotype import Cell
from spaces.nds.network import OPERATIONS, FactorizedReduce, NDSCell, NDSNetwork, dropped_path, operation
from tests.spaces.nds.architectures import DARTS, SMALL, resized

HOME = {"DARTS_V2": "nds_darts", "PNASNet": "nds_pnas", "AmoebaNet": "nds_amoeba", "NASNet": "nds_nasnet"}


# Published values: C, L, parameters with 10 classes and with 1, rectified units as the published code counts.
GOLDEN = [
    ("DARTS_V2", 36, 20, 3_349_342, None, None),
    ("DARTS_V2", 16, 8, 246_106, 243_793, 1_843_200),
    ("PNASNet", 16, 8, 408_762, 405_873, 2_510_848),
    ("AmoebaNet", 16, 8, 326_330, 324_593, 1_662_976),
    ("NASNet", 16, 8, 333_946, 331_057, 2_187_264),
]


def test_published_cells_have_their_published_size():
    for genotype, width, depth, ten, one, units in GOLDEN:
        space, architecture = get_space(HOME[genotype]), f"C{width}-L{depth}|{GENOTYPES[genotype]}"
        assert space.complexity(architecture, 10).params == ten
        if units is not None:
            network = space.build(architecture, num_classes=1)
            assert sum(p.numel() for p in network.parameters()) == one
            assert activation_kernel(network, torch.randn(2, 3, 32, 32), variant="reference").n_units == units
    architecture = f"C48-L14-imagenet|{GENOTYPES['DARTS_V2']}"
    assert DARTS.complexity(architecture, 1000, image_size=64).params == 4_718_752


def test_published_cells_have_as_many_modules_named_relu_as_the_published_code_hooks():
    for genotype, hooks in {"DARTS_V2": 96, "PNASNet": 128, "AmoebaNet": 96, "NASNet": 110}.items():
        with torch.device("meta"):
            network = get_space(HOME[genotype]).build(f"C16-L8|{GENOTYPES[genotype]}", 1)
            called = []
            for module in network.modules():
                if "ReLU" in str(type(module)):
                    module.register_forward_hook(lambda *_, called=called: called.append(1))
            network(torch.empty(2, 3, 8, 8))
        assert len(called) == hooks


def test_each_preprocessing_rectifier_counts_twice_in_the_reference():
    network = DARTS.build(SMALL)
    images = torch.randn(2, 3, 8, 8)
    paper = activation_kernel(network, images).n_units
    reference = activation_kernel(network, images, variant="reference").n_units
    # Cells on 8x8, 4x4 and 2x2 images: the stem's 12 channels, twice; 12 and 16; 4 * 8 (reduced by a wrapper
    # that is not counted beside its ReLU).
    assert reference - paper == 2 * 12 * 64 + (12 + 16) * 64 + 4 * 8 * 16


def test_operations_keep_channels_and_divide_the_image():
    for name, (stride, size) in itertools.product(OPERATIONS, [(1, 8), (2, 8), (1, 7), (2, 7)]):
        with torch.device("meta"):
            output = operation(name, 6, stride)(torch.empty(2, 6, size, size))
        assert output.shape == (2, 6, -(-size // stride), -(-size // stride)), name


def test_factorized_reduction_sees_every_other_pixel_of_both_kinds():
    module = FactorizedReduce(1, 2).eval()
    nn.init.ones_(module.even.weight)
    nn.init.ones_(module.odd.weight)
    image = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    expected = torch.tensor([[[1.0, 3.0], [7.0, 9.0]], [[5.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(module(image)[0], expected, rtol=1e-4, atol=1e-4)


def test_score_leaves_out_auxiliary_head_and_drop_path():
    network = DARTS.build(resized(SMALL, "C4-L3-aux-drop0.3"), 1)
    images = torch.randn(4, 3, 16, 16)
    score = naswot_score(network, images)
    assert score > 0
    assert naswot_score(network, images) == score
    assert network.training


def test_networks_train_with_auxiliary_head_and_drop_path():
    for skeleton, size in (("", 32), ("-imagenet", 224)):
        torch.manual_seed(0)
        network = DARTS.build(resized(SMALL, f"C4-L3{skeleton}-aux-drop0.2"), 5)
        logits, auxiliary = network(torch.randn(2, 3, size, size))
        assert logits.shape == auxiliary.shape == (2, 5)
        labels = torch.tensor([0, 4])
        (F.cross_entropy(logits, labels) + 0.4 * F.cross_entropy(auxiliary, labels)).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
        assert network.eval()(torch.randn(2, 3, size, size)).shape == (2, 5)


def test_auxiliary_head_refuses_images_that_it_is_not_made_for():
    network = DARTS.build(resized(SMALL, "C4-L3-aux"))
    with pytest.raises(ValueError, match=r"made for feature maps of 8x8 \(32x32 images\), not 4x4"):
        network(torch.randn(2, 3, 16, 16))


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    output = dropped_path(torch.ones(4000, 2, 3, 3), 0.25)
    assert output.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert torch.equal(output.amin(dim=(1, 2, 3)), output.amax(dim=(1, 2, 3)))
    assert output.mean().item() == pytest.approx(1.0, abs=0.03)


def test_drop_path_spares_identities_and_evaluation():
    skip = Cell((("skip_connect", 0), ("skip_connect", 1)), (2,))
    module = NDSCell(skip, 4, 4, 4, reduces=False, after_reduction=False)
    inputs = torch.randn(8, 4, 4, 4), torch.randn(8, 4, 4, 4)
    torch.testing.assert_close(module(*inputs, 0.9), module(*inputs, 0.0))
    network: NDSNetwork = DARTS.build(resized(SMALL, "C4-L3-drop0.9")).eval()
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(network(images), network(images))
    network.train()
    assert not torch.equal(network(images), network(images))
