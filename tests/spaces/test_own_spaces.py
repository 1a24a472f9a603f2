"""A user's own space: a class by import path, or a function that returns networks by name."""

import random
import textwrap

import pytest
import torch
from torchvision.models import mobilenet_v3_small, resnet18

from naswot_lightning import naswot_score
from spaces import EnumerableSpace, SpaceError, get_space
from spaces.named import NamedNetworks

OWN = '''
import random
from torch import nn
from spaces import Space, SpaceError

class Widths(Space):
    """Two convolutions; the architecture is their widths, such as 8-16."""

    def __init__(self, kernel: int = 3, bias: bool = True):
        self.convolution = {"kernel_size": kernel, "bias": bias}

    def sample(self, rng):
        return f"{rng.choice((4, 8))}-{rng.choice((8, 16))}"

    def mutate(self, architecture, rng):
        first, second = architecture.split("-")
        return f"{12 - int(first)}-{second}"

    def build(self, architecture, num_classes=10, in_channels=3):
        try:
            first, second = map(int, architecture.split("-"))
        except ValueError:
            raise SpaceError(f"{architecture!r}: expected two widths such as 8-16") from None
        return nn.Sequential(
            nn.Conv2d(in_channels, first, **self.convolution), nn.ReLU(),
            nn.Conv2d(first, second, **self.convolution), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(second, num_classes),
        )

def networks():
    from torchvision.models import resnet18, resnet34
    return {"resnet18": lambda n: resnet18(num_classes=n), "resnet34": lambda n: resnet34(num_classes=n)}

number = 3
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "own_spaces_of_a_test.py").write_text(textwrap.dedent(OWN))
    monkeypatch.chdir(tmp_path)
    get_space.cache_clear()
    return tmp_path


def test_a_class_by_import_path(folder):
    space = get_space("own_spaces_of_a_test.Widths")
    assert space.name == "own_spaces_of_a_test.Widths"
    architecture = space.sample(random.Random(0))
    assert space.mutate(architecture, random.Random(0)) != architecture
    assert space.complexity("8-16", num_classes=5).params == (27 + 1) * 8 + (72 + 1) * 16 + 17 * 5
    assert space.canonical("8-16") == "8-16"
    with pytest.raises(SpaceError, match="expected two widths"):
        space.validate("8")


def test_a_function_that_returns_networks(folder):
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
    space = NamedNetworks(
        {"resnet18": lambda n: resnet18(num_classes=n), "mobilenet": lambda n: mobilenet_v3_small(num_classes=n)}, "tv"
    )
    images = torch.randn(4, 3, 64, 64)
    scores = {name: naswot_score(space.build(name), images) for name in space}
    assert all(score > 0 for score in scores.values())
    assert space.complexity("resnet18", 10).params == 11_181_642
