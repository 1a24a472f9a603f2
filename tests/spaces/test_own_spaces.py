"""A user's own networks: a function that returns them by name, and what cannot be a space."""

import random

import pytest
import torch
from torchvision.models import mobilenet_v3_small, resnet18

from naswot_lightning import naswot_score
from spaces import EnumerableSpace, SpaceError, get_space
from spaces.named import NamedNetworks

OWN = """
def networks():
    from torchvision.models import resnet18, resnet34
    return {"resnet18": lambda n: resnet18(num_classes=n), "resnet34": lambda n: resnet34(num_classes=n)}

number = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "own_spaces_of_a_test.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    get_space.cache_clear()


def test_function_that_returns_networks_is_a_space(folder):
    space = get_space("own_spaces_of_a_test.networks")
    assert isinstance(space, EnumerableSpace)
    assert list(space) == ["resnet18", "resnet34"]
    assert space.index("resnet34") == 1
    assert space.mutate("resnet18", random.Random(0)) == "resnet34"
    assert space.build("resnet18", 7)(torch.randn(2, 3, 32, 32)).shape == (2, 7)
    with pytest.raises(SpaceError, match="did you mean 'resnet34'"):
        space.build("resnet35")


def test_what_cannot_be_a_space_is_one_line(folder):
    messages = {
        "own_spaces_of_a_test.Width": "cannot be imported from .*has no attribute 'Width'",
        "absent_module.Space": "No module named 'absent_module'",
        "own_spaces_of_a_test.number": "expected a subclass of spaces.Space, or a function",
        "nosuchspace": "or an import path",
        "nasbench-201": "did you mean 'nasbench201'",
    }
    for path, message in messages.items():
        with pytest.raises(SpaceError, match=message) as caught:
            get_space(path)
        assert "\n" not in str(caught.value)


def test_torchvision_networks_are_scored():
    builders = {"resnet18": lambda n: resnet18(num_classes=n), "mobilenet": lambda n: mobilenet_v3_small(num_classes=n)}
    space, images = NamedNetworks(builders, "tv"), torch.randn(4, 3, 64, 64)
    assert all(naswot_score(space.build(name), images) > 0 for name in space)
    assert space.complexity("resnet18", 10).params == 11_181_642
