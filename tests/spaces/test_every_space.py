"""What every registered space must do, with each of its options: build, keep its word about strings, score, train."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces import EnumerableSpace, get_space, list_spaces
from tests.spaces.training import assert_scores_and_trains

OPTIONS = (
    "nasbench101:uniform=true", "nasbench101:stem_channels=16", "nds_darts:imagenet=true", "nds_enas:depth=3,width=4",
    *(f"nds_{block}:naswot_quirks=true" for block in ("vanilla", "resnet", "resnext_a", "resnext_b")),
)  # fmt: skip
SPACES = [*list_spaces(), *OPTIONS]
CELLS = ("nds_nasnet", "nds_amoeba", "nds_pnas", "nds_enas", "nds_darts")

seeds = st.integers(0, 2**32)
every_space = pytest.mark.parametrize("name", SPACES)


def walk(space, seed, steps=1):
    """A sampled architecture and its mutations, one after the other."""
    rng = random.Random(seed)
    architectures = [space.sample(rng)]
    for _ in range(steps):
        architectures.append(space.mutate(architectures[-1], rng))
    return architectures


@every_space
@settings(max_examples=2, deadline=None)
@given(seeds)
def test_sampled_and_mutated_architectures_build(name, seed):
    space = get_space(name)
    size = 64 if "imagenet" in name else 32
    for architecture in walk(space, seed):
        with torch.device("meta"):
            network = space.build(architecture, 7).eval()
            assert network(torch.empty(2, 3, size, size)).shape == (2, 7)


@every_space
@settings(max_examples=20, deadline=None)
@given(seeds)
def test_strings_keep_their_meaning(name, seed):
    """Space around them is no part of them, the canonical form is a fixed point, and both are of the space."""
    space = get_space(name)
    for architecture in walk(space, seed, steps=3):
        space.validate(architecture)
        canonical = space.canonical(architecture)
        space.validate(canonical)
        assert space.canonical(canonical) == canonical == space.canonical(f" {architecture}\n")
        assert "\n" not in architecture
        if isinstance(space, EnumerableSpace):
            assert space[space.index(architecture)] == architecture


@every_space
@settings(max_examples=20, deadline=None)
@given(seeds)
def test_the_generator_alone_decides(name, seed):
    space = get_space(name)
    architectures = walk(space, seed)
    assert architectures == walk(space, seed)
    assert architectures[0] != architectures[1]


def smallest(space, count=6):
    sampled = [space.sample(random.Random(seed)) for seed in range(count)]
    return min(sampled, key=lambda architecture: space.complexity(architecture, 4, image_size=16).macs)


@pytest.mark.parametrize("name", [f"{name}:depth=3,width=4" if name in CELLS else name for name in list_spaces()])
def test_networks_score_and_train(name):
    torch.manual_seed(0)
    space = get_space(name)
    assert_scores_and_trains(space.build(smallest(space), 4))
