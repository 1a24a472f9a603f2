"""Spaces of a user, and options in the name of a space: ``nds_darts:depth=8,width=16``."""

import random
import textwrap

import pytest
import yaml

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig, WandbConfig
from naswot_lightning.errors import UserError
from naswot_lightning.spaces import EnumerableSpace, SpaceError, get_space

OWN = '''
from __future__ import annotations
from collections.abc import Mapping
from torch import nn
from naswot_lightning.spaces import Space

class Widths(Space):
    """One convolution; the architecture is its width."""

    def __init__(self, most: int, bias: bool = True, scale: float = 1.0, note: str = "plain"):
        if most < 9:
            raise ValueError(f"most {most} is less than 9")
        self.most, self.bias, self.scale, self.note = most, bias, scale, note

    def sample(self, rng):
        return str(rng.randint(8, self.most))

    def mutate(self, architecture, rng):
        return str(8 + (int(architecture) - 7) % (self.most - 7))

    def build(self, architecture, num_classes=10, in_channels=3):
        width = int(architecture)
        layers = nn.Conv2d(in_channels, width, 3, bias=self.bias), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        return nn.Sequential(*layers, nn.Linear(width, num_classes))

class Table(Widths):
    def __init__(self, table: Mapping[str, int]):
        super().__init__(16)

def networks(width: int = 4):
    flat = lambda n: nn.Sequential(nn.Flatten(), nn.LazyLinear(width), nn.ReLU(), nn.Linear(width, n))
    return {"flat": flat, "deep": flat}
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "own_options_of_a_test.py").write_text(textwrap.dedent(OWN))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_space_has_one_name_and_is_one_object():
    names = {
        "nds_darts:width=16,depth=8": "nds_darts:depth=8,width=16",
        "nds_darts:imagenet=True": "nds_darts:imagenet=true",
        "nds_darts:imagenet=false": "nds_darts",
        "nds_pnas:imagenet=false,width=020": "nds_pnas:width=20",
        "nasbench101:stem_channels=128,uniform=true": "nasbench101:uniform=true",
        "nasbench201": "nasbench201",
    }
    for written, name in names.items():
        space = get_space(written)
        assert space.name == name
        assert get_space(name) is get_space(written) is space
        assert get_space(name.partition(":")[0]).name == name.partition(":")[0]


def test_options_reach_the_constructor():
    darts = get_space("nds_darts:width=20,depth=9,imagenet=true")
    assert darts.sample(random.Random(0)).startswith("C20-L9-imagenet|")
    assert darts.mutate(darts.sample(random.Random(0)), random.Random(0)).startswith("C20-L9-imagenet|")
    quirks = "ds=1;ws=16;ss=1"
    assert get_space("nds_resnet:naswot_quirks=true").build(quirks).stem[0].out_channels == 12
    assert get_space("nds_resnet").build(quirks).stem[0].out_channels == 16
    narrow = get_space("nasbench101:stem_channels=16").complexity("output~0")
    assert narrow == get_space("nasbench101_16").complexity("output~0")


def test_invalid_option_is_one_line(folder):
    messages = {
        "nds_darts:widht=16": "unknown option 'widht', expected one of width=int, depth=int, .*; did you mean 'width'?",
        "nds_darts:width": "'width', expected width= and a whole number",
        "nds_darts:imagenet=yes": "'imagenet=yes', expected imagenet= and true or false",
        "nds_darts:width=16,width=16": "the option 'width' is written twice",
        "nds_darts:width=0": "'nds_darts:width=0': width 0: expected at least 1",
        "nasbench101:stem_channels=4": "stem_channels 4: expected at least 5",
        "nasbench201:width=16": "'nasbench201:width=16': it has no options",
        "nosuchspace": "or an import path",
        "nasbench-201": "did you mean 'nasbench201'",
        "own_options_of_a_test.absent": "cannot be imported from .*has no attribute 'absent'",
        "absent_module.Space": "No module named 'absent_module'",
        "collections.OrderedDict:width=16": "expected a subclass of naswot_lightning.spaces.Space, or a function",
        "own_options_of_a_test.Widths": "'most' of its constructor is missing; write it as own_options.*:most=int",
        "own_options_of_a_test.Widths:most=0": "most 0 is less than 9",
        "own_options_of_a_test.Widths:most=9,scale=nan": "'scale=nan', expected scale= and a number",
        "own_options_of_a_test.Table": "'table' of its constructor is missing; give it a default",
        "own_options_of_a_test.networks:height=3": "unknown option 'height', expected one of width=int",
    }
    for name, message in messages.items():
        with pytest.raises(SpaceError, match=message.replace("?", r"\?")) as caught:
            get_space(name)
        assert "\n" not in str(caught.value)


def test_options_of_an_own_class_and_function(folder):
    space = get_space("own_options_of_a_test.Widths:scale=2,note=a=b:c,most=30,bias=TRUE")
    assert space.name == "own_options_of_a_test.Widths:most=30,note=a=b:c,scale=2.0"
    assert (space.most, space.bias, space.scale, space.note) == (30, True, 2.0, "a=b:c")
    assert get_space(space.name) is space
    networks = get_space("own_options_of_a_test.networks:width=7")
    assert networks.name == "own_options_of_a_test.networks:width=7"
    assert networks.build("flat", 2)[1].out_features == 7
    assert isinstance(networks, EnumerableSpace)
    assert list(networks) == ["flat", "deep"]
    assert networks.mutate("flat", random.Random(0)) == "deep"
    with pytest.raises(SpaceError, match="did you mean 'flat'"):
        networks.build("flt")


def test_run_belongs_to_the_options_however_they_are_written(folder):
    space, run = "own_options_of_a_test.Widths", folder / "run"
    settings = {"samples": 3, "batch_size": 16, "run_dir": str(run), "wandb": WandbConfig("disabled")}
    for options in ("most=30,bias=false", "bias=false,most=30,note=plain"):
        assert run_search(SearchConfig(space=f"{space}:{options}", **settings)) == 0
    assert len((run / "scores.jsonl").read_text().splitlines()) == 3
    assert yaml.safe_load((run / "config.yaml").read_text())["space"] == f"{space}:bias=false,most=30"
    with pytest.raises(UserError, match="made with different settings: space was"):
        run_search(SearchConfig(space=f"{space}:most=30", **settings))
