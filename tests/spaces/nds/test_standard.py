import itertools
import math
import random
import re

import pytest
import torch
from torch import nn

from naswot_lightning import activation_kernel
from spaces import SpaceError, get_space
from spaces.nds.anynet import Stage
from spaces.nds.standard import ResNetSpace, ResNeXtASpace, ResNeXtBSpace, VanillaSpace

CLASSES = {
    "nds_vanilla": VanillaSpace,
    "nds_resnet": ResNetSpace,
    "nds_resnext_a": ResNeXtASpace,
    "nds_resnext_b": ResNeXtBSpace,
}
BASIC = "ds=2,2,2;ws=16,32,64;ss=1,2,2"
BOTTLENECK = "ds=2,1,1;ws=16,32,64;ss=1,2,2;bm=1,0.5,0.25;gs=1,2,4"


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
        network = CLASSES[name](quirks).build(small(name), 1)
        assert activation_kernel(network, torch.randn(2, 3, 32, 32), variant="reference").n_units == units


def test_parameters_by_hand():
    def conv(c_in, c_out, k):
        return c_in * c_out * k * k + 2 * c_out

    stages = [(16, 16), (16, 32), (32, 64)]
    blocks = sum(conv(a, b, 3) + 3 * conv(b, b, 3) for a, b in stages)
    vanilla = conv(3, 16, 3) + blocks + 65 * 10
    assert VanillaSpace().complexity(BASIC).params == vanilla
    assert ResNetSpace().complexity(BASIC).params == vanilla + conv(16, 32, 1) + conv(32, 64, 1)


def test_groups_divide_the_parameters_of_the_middle_convolution():
    def params(space, groups):
        return space.complexity(f"ds=1;ws=32;ss=1;bm=0.5;gs={groups}").params

    plain, quirky = ResNeXtASpace(), ResNeXtASpace(naswot_quirks=True)
    assert params(plain, 1) - params(plain, 4) == 9 * 16 * 16 * 3 // 4
    # The published code reads 4 as channels a group: 4 groups of 16 channels, and 1 as 16 groups.
    assert params(quirky, 1) - params(quirky, 4) == 9 * 16 * 16 // 16 - 9 * 16 * 16 // 4


def test_sizes_of_the_spaces_are_those_of_the_paper():
    def size(space):
        return math.prod(map(len, space._choices().values())) ** 3

    assert [size(CLASSES[name]()) for name in CLASSES] == [1_259_712, 1_259_712, 11_390_625, 52_734_375]


def test_mutation_changes_one_number():
    for name, quirks in itertools.product(CLASSES, (False, True)):
        space = CLASSES[name](naswot_quirks=quirks)
        for seed in range(5):
            architecture = space.sample(random.Random(seed))
            child = space.mutate(architecture, random.Random(seed))
            changed = zip(re.findall(r"[\d.]+", architecture), re.findall(r"[\d.]+", child), strict=True)
            assert sum(a != b for a, b in changed) == 1
            assert [space.canonical(each) for each in (architecture, child)] == [architecture, child]


def test_sampling_draws_from_every_list_equally():
    for space, rng in ((get_space(name), random.Random(0)) for name in CLASSES):
        stages = [stage for _ in range(400) for stage in space.parse(space.sample(rng))]
        for field, values in space._choices().items():
            drawn = [getattr(stage, field) for stage in stages]
            shares = [drawn.count(value) / len(drawn) for value in values]
            assert shares == pytest.approx([1 / len(values)] * len(values), abs=0.05)
        assert [stage.stride for stage in stages[:6]] == [1, 2, 2, 1, 2, 2]


def test_other_spellings_become_canonical():
    space = get_space("nds_resnext_a")
    assert space.canonical("gs=1,2;bm=1.0,0.50;ss=1,2;ws=100,8;ds=10,1\n") == "ds=10,1;ws=100,8;ss=1,2;bm=1,0.5;gs=1,2"
    assert space.parse("ds=1;ws=100;ss=2;bm=0.25;gs=5") == (Stage(1, 100, 2, 0.25, 5),)


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
        ResNeXtBSpace(naswot_quirks=True).validate("ds=1;ws=16;ss=1;bm=0.5;gs=16")


def test_weights_are_drawn_as_in_the_published_code():
    torch.manual_seed(0)
    network = ResNeXtASpace().build("ds=1;ws=256;ss=1;bm=1;gs=4", 100)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    for module in convolutions:
        expected = math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels))
        assert module.weight.std().item() == pytest.approx(expected, rel=0.1)
    assert network.classifier.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert not network.classifier.bias.any()
    assert all(module.inplace for module in network.modules() if isinstance(module, nn.ReLU))
