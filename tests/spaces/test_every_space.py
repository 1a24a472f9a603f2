"""What every registered space must do, with each of its options: build, score, train, read its own strings."""

import math
import random

import pytest
import torch
from torch import nn

from naswot_lightning import naswot_score
from naswot_lightning.spaces import CategoricalSpace, EnumerableSpace, SpaceError, get_space, list_spaces

OPTIONS = (
    "nasbench101:uniform=true", "nasbench101:stem_channels=16", "nds_darts:imagenet=true", "nds_enas:depth=3,width=4",
    *(f"nds_{block}:naswot_quirks=true" for block in ("vanilla", "resnet", "resnext_a", "resnext_b")),
)  # fmt: skip
SPACES = [*list_spaces(), *OPTIONS]
CELLS = ("nds_nasnet", "nds_amoeba", "nds_pnas", "nds_enas", "nds_darts")


def walk(space, seed, steps=1):
    """A sampled architecture and its mutations, one after the other."""
    rng = random.Random(seed)
    architectures = [space.sample(rng)]
    for _ in range(steps):
        architectures.append(space.mutate(architectures[-1], rng))
    return architectures


def test_mutated_architectures_build():
    for name in SPACES:
        space, size = get_space(name), 64 if "imagenet" in name else 32
        architecture = walk(space, seed=1)[-1]
        with torch.device("meta"):
            network = space.build(architecture, 7).eval()
            assert network(torch.empty(2, 3, size, size)).shape == (2, 7), architecture
        if not name.startswith("nds"):  # the others count by building
            params = sum(parameter.numel() for parameter in network.parameters())
            assert params == space.complexity(architecture, 7).params, architecture


def test_canonical_form_is_a_fixed_point_and_the_generator_alone_decides():
    for name in SPACES:
        space = get_space(name)
        for seed in range(6):
            architectures = walk(space, seed, steps=2)
            assert architectures == walk(space, seed, steps=2)
            assert architectures[0] != architectures[1] != architectures[2]
            for architecture in architectures:
                space.validate(architecture)
                canonical = space.canonical(architecture)
                space.validate(canonical)
                assert space.canonical(canonical) == canonical == space.canonical(f" {architecture}\n")
                if isinstance(space, EnumerableSpace):
                    assert space[space.index(architecture)] == architecture


def test_networks_score_and_train():
    for name in (f"{name}:depth=3,width=4" if name in CELLS else name for name in SPACES if "=" not in name):
        torch.manual_seed(0)
        space = get_space(name)
        sampled = [space.sample(random.Random(seed)) for seed in range(3)]
        small = min(sampled, key=lambda each: space.complexity(each, 4, image_size=16).macs)
        network, images = space.build(small, 4), torch.randn(4, 3, 16, 16)
        assert math.isfinite(naswot_score(network, images))
        optimizer = torch.optim.SGD(network.parameters(), 0.05)
        for _ in range(2):  # every weight is reached
            logits = network(images)
            assert logits.shape == (4, 4)
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits, torch.arange(4)).backward()
            assert all(p.grad is not None for p in network.parameters())
            optimizer.step()


SIZES = {
    "nasbench201": [5] * 6,
    "nats_size": [8] * 5,
    **dict.fromkeys(("nasbench101", "nasbench101_16"), [2] * 21 + [3] * 5),
    "nasbench_macro": [3] * 8,
}


def test_decisions_and_architectures_are_each_others_inverse():
    assert [name for name in list_spaces() if isinstance(get_space(name), CategoricalSpace)] == list(SIZES)
    for name, sizes in SIZES.items():
        space, rng = get_space(name), random.Random(0)
        assert [len(options) for options in space.choices] == sizes
        for _ in range(50):
            architecture = space.sample(rng)
            decisions = space.decisions(architecture)
            assert space.from_decisions(decisions) == architecture
            assert all(0 <= decision < size for decision, size in zip(decisions, sizes, strict=True))
        with pytest.raises(SpaceError):
            space.decisions("nonsense")
