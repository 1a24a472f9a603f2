"""The networks of NDS: sizes, rectified units, operations, auxiliary head, drop path; its standard spaces."""

import itertools
import random
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._dynamo.testing import CompileCounter

from naswot_lightning import activation_kernel
from naswot_lightning.spaces import SpaceError, get_space
from naswot_lightning.spaces.nds.genotype import Cell
from naswot_lightning.spaces.nds.network import FactorizedReduce, NDSCell, NDSNetwork, dropped_path
from tests.spaces.nds.architectures import DARTS, GENOTYPES, SMALL, resized

HOME = {"DARTS_V2": "nds_darts", "PNASNet": "nds_pnas", "AmoebaNet": "nds_amoeba", "NASNet": "nds_nasnet"}

# Published values with C = 16, L = 8: parameters with 10 classes and 1, rectified units as the published code counts.
GOLDEN = [
    ("DARTS_V2", 246_106, 243_793, 1_843_200),
    ("PNASNet", 408_762, 405_873, 2_510_848),
    ("AmoebaNet", 326_330, 324_593, 1_662_976),
    ("NASNet", 333_946, 331_057, 2_187_264),
]


def test_published_cells_have_their_published_size():
    for genotype, ten, one, units in GOLDEN:
        space, architecture = get_space(HOME[genotype]), f"C16-L8|{GENOTYPES[genotype]}"
        assert space.complexity(architecture, 10).params == ten
        network = space.build(architecture, num_classes=1)
        assert sum(p.numel() for p in network.parameters()) == one
        assert activation_kernel(network, torch.randn(2, 3, 32, 32), variant="reference").n_units == units
    assert DARTS.complexity(f"C36-L20|{GENOTYPES['DARTS_V2']}").params == 3_349_342
    architecture = f"C48-L14-imagenet|{GENOTYPES['DARTS_V2']}"
    assert DARTS.complexity(architecture, 1000, image_size=64).params == 4_718_752


def test_factorized_reduction_sees_every_other_pixel_of_both_kinds():
    module = FactorizedReduce(1, 2).eval()
    nn.init.ones_(module.even.weight)
    nn.init.ones_(module.odd.weight)
    image = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    expected = torch.tensor([[[1.0, 3.0], [7.0, 9.0]], [[5.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(module(image)[0], expected, rtol=1e-4, atol=1e-4)


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


def test_drop_path_that_grows_is_compiled_twice():
    """Without it, and with any; else it would be compiled in each epoch, and in the end no more."""
    counted = CompileCounter()

    class Dropped(nn.Module):
        rate = 0.0

        def forward(self, images):
            return dropped_path(images, self.rate) if self.rate > 0.0 else images

    network = Dropped()
    compiled = torch.compile(network, backend=counted)
    for rate in (0.0, 0.1, 0.2, 0.3):
        network.rate = rate
        torch.manual_seed(0)
        found = compiled(torch.ones(4000, 2, 3, 3))
        assert float((found.flatten(1) == 0).all(1).float().mean()) == pytest.approx(rate, abs=0.03)
        assert float(found.mean()) == pytest.approx(1.0, abs=0.05)
    assert counted.frame_count == 2


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


STANDARD = ("nds_vanilla", "nds_resnet", "nds_resnext_a", "nds_resnext_b")
BASIC = "ds=2,2,2;ws=16,32,64;ss=1,2,2"
BOTTLENECK = "ds=2,1,1;ws=16,32,64;ss=1,2,2;bm=1,0.5,0.25;gs=1,2,4"


def standard(name, quirks=False):
    return get_space(f"{name}:naswot_quirks=true" if quirks else name)


def small(name):
    return BASIC if name in ("nds_vanilla", "nds_resnet") else BOTTLENECK


def test_rectified_units_of_each_stem_and_block():
    expected = [
        # 10,240 as published; its stem has 12 channels, 7x7 at stride 2, then pooling: 12 * 16^2, then 2 rectifiers
        # in each of 2 blocks on images of side 8, 4 and 2: 4 * (16 * 8^2 + 32 * 4^2 + 64 * 2^2)
        ("nds_resnet", True, 10_240),
        # stem 16 * 32^2, then 4 * (16 * 32^2 + 32 * 16^2 + 64 * 8^2)
        ("nds_resnet", False, 131_072),
        ("nds_vanilla", False, 131_072),
        # stem 12 * 16^2, then 4 * (16 * 16^2 + 32 * 8^2 + 64 * 4^2)
        ("nds_vanilla", True, 31_744),
        # stem, then (inner + inner + width) per block; the first 1x1 convolution comes before the stride
        ("nds_resnext_a", False, 16 * 1024 + 2 * 48 * 1024 + (16 * 1024 + 48 * 256) + (16 * 256 + 80 * 64)),
    ]
    for name, quirks, units in expected:
        network = standard(name, quirks).build(small(name), 1)
        assert activation_kernel(network, torch.randn(2, 3, 32, 32), variant="reference").n_units == units


def test_parameters_by_hand():
    def conv(c_in, c_out, k):
        return c_in * c_out * k * k + 2 * c_out

    stages = [(16, 16), (16, 32), (32, 64)]
    blocks = sum(conv(a, b, 3) + 3 * conv(b, b, 3) for a, b in stages)
    vanilla = conv(3, 16, 3) + blocks + 65 * 10
    assert standard("nds_vanilla").complexity(BASIC).params == vanilla
    assert standard("nds_resnet").complexity(BASIC).params == vanilla + conv(16, 32, 1) + conv(32, 64, 1)


def test_groups_divide_the_parameters_of_the_middle_convolution():
    def params(space, groups):
        return space.complexity(f"ds=1;ws=32;ss=1;bm=0.5;gs={groups}").params

    plain, quirky = standard("nds_resnext_a"), standard("nds_resnext_a", True)
    assert params(plain, 1) - params(plain, 4) == 9 * 16 * 16 * 3 // 4
    # The published code reads 4 as channels a group: 4 groups of 16 channels, and 1 as 16 groups.
    assert params(quirky, 1) - params(quirky, 4) == 9 * 16 * 16 // 16 - 9 * 16 * 16 // 4


def test_mutation_changes_one_number():
    for name, quirks in itertools.product(STANDARD, (False, True)):
        space = standard(name, quirks)
        for seed in range(5):
            architecture = space.sample(random.Random(seed))
            child = space.mutate(architecture, random.Random(seed))
            changed = zip(re.findall(r"[\d.]+", architecture), re.findall(r"[\d.]+", child), strict=True)
            assert sum(a != b for a, b in changed) == 1
            assert [space.canonical(each) for each in (architecture, child)] == [architecture, child]


def test_sampling_draws_from_every_list_equally():
    for space, rng in ((get_space(name), random.Random(0)) for name in STANDARD):
        stages = [stage for _ in range(400) for stage in space.parse(space.sample(rng))]
        for field, values in space._choices().items():
            drawn = [getattr(stage, field) for stage in stages]
            shares = [drawn.count(value) / len(drawn) for value in values]
            assert shares == pytest.approx([1 / len(values)] * len(values), abs=0.05)
        assert [stage.stride for stage in stages[:6]] == [1, 2, 2, 1, 2, 2]


def test_malformed_architecture_is_refused_with_its_position():
    faults = [
        ("nds_resnet", "", "the list '' is not one of ds, ws, ss; write it as ds=1,2,3;"),
        ("nds_resnet", "ds=1;wd=16;ss=1", "the list 'wd' is not one of ds, ws, ss; did you mean 'ws'"),
        ("nds_resnext_a", BASIC, "the list 'bm' is missing"),
        ("nds_resnet", "ds=1,2;ws=16;ss=1", "ds has 2, ws has 1, ss has 1"),
        ("nds_resnet", "ds=1,0;ws=16,16;ss=1,1", "stage 2: '0' in the list 'ds' must be a positive integer"),
        ("nds_resnext_b", "ds=1;ws=16;ss=1;bm=0;gs=1", "stage 1: a bottleneck of 0 leaves no channel of 16"),
        ("nds_resnext_b", "ds=1;ws=16;ss=1;bm=0.5;gs=3", "8 inner channels cannot be divided into 3 groups"),
    ]
    for name, architecture, message in faults:
        with pytest.raises(SpaceError, match=message):
            get_space(name).build(architecture)
    with pytest.raises(SpaceError, match="stage 1: 8 inner channels cannot be divided into 16 channels per group"):
        standard("nds_resnext_b", True).validate("ds=1;ws=16;ss=1;bm=0.5;gs=16")
