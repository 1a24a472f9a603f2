"""Absurd numbers in an architecture or an option: one line, before anything of that size is made."""

import pytest

from naswot_lightning.spaces import SpaceError, get_space
from naswot_lightning.spaces.errors import MAX_PARAMS, TooLargeError
from naswot_lightning.spaces.nasbench101.space import MAX_STEM_CHANNELS
from naswot_lightning.spaces.nds.genotype import MAX_DEPTH, MAX_WIDTH, format_architecture, largest_architecture
from tests.spaces.nds.architectures import CELL_SPACES, DARTS, GENOTYPES

STANDARD = ("nds_vanilla", "nds_resnet", "nds_resnext_a", "nds_resnext_b")
METHODS = ("validate", "canonical", "complexity", "build", "graph")


def fault(call, *arguments, kind=SpaceError):
    """The message of what must be refused, one short line."""
    with pytest.raises(kind) as caught:
        call(*arguments)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 600
    return message


TOO_LARGE = [
    ("nds_resnet", "ds=1,1;ws=16,999999999999;ss=1,2", "stage 2: a width of 999999999999, expected at most 4,096"),
    ("nds_resnet", "ds=99999999;ws=16;ss=1", "stage 1: a depth of 99999999, expected at most 200 blocks in all"),
    ("nds_vanilla", f"ds={'9' * 5_000};ws=16;ss=1", "99' (5,000 characters), expected at most 200 blocks in all"),
    ("nds_vanilla", "ds=200;ws=4096;ss=1", ": about 60.2 billion parameters, expected at most 1 billion; make it"),
    ("nds_resnext_a", "ds=1;ws=64;ss=1;bm=1;gs=8192", "a number of groups of 8192, expected at most 4,096 groups"),
    ("nds_resnext_a", "ds=1;ws=64;ss=1;bm=100.5;gs=1", "a bottleneck of '100.5', expected at most 100"),
    ("nds_darts", f"C16-L99999999|{GENOTYPES['DARTS_V2']}", "a depth of 99999999, expected at most 200 cells"),
    ("nds_amoeba", f"C9999-L8|{GENOTYPES['AmoebaNet']}", "a width of 9999, expected at most 512 channels"),
    ("nds_pnas", f"C512-L200|{GENOTYPES['PNASNet']}", "billion parameters, expected at most 1 billion"),
]
LONG = [
    ("nasbench201", "|" + "9" * 1_000_000),
    ("nats_size", ":".join(["8"] * 100_000)),
    ("nasbench101", f"conv3x3~{','.join(['0'] * 100_000)}+output~1"),
    ("nds_resnet", ";".join(f"{key}={','.join(['1'] * 10_000)}" for key in ("ds", "ws", "ss"))),
    ("nds_resnext_a", f"ds=1;ws=16;ss=1;bm=0.{'3' * 5_000};gs=1"),
    ("nds_darts", f"C16-L8-drop{'9' * 5_000}|{GENOTYPES['DARTS_V2']}"),
    ("nds_darts", f"C16-L８|{GENOTYPES['DARTS_V2']}"),  # a digit, but not of ASCII
]


def test_too_large_or_long_architecture_is_refused_in_one_line():
    for name, architecture, message in TOO_LARGE:
        for method in METHODS:
            assert message in fault(getattr(get_space(name), method), architecture, kind=TooLargeError)
    for name, architecture in LONG:
        for method in METHODS:
            fault(getattr(get_space(name), method), architecture)


def test_absurd_option_is_one_line():
    messages = {
        "nds_darts:depth=99999999,width=16": "depth 99999999: expected at most 200",
        f"nds_darts:depth={'9' * 5_000}": "expected depth= and a whole number of at most 40 digits",
        "nds_darts:depth=200,width=512": "width 512 with depth 200, the largest network: about 8.8 billion param",
        "nasbench101:stem_channels=99999999": "stem_channels 99999999: expected at most 512",
        f"nasbench101:{'x' * 10_000}=1": "(10,000 characters), expected one of stem_channels=int",
    }
    for name, message in messages.items():
        assert message in fault(get_space, name)


def test_largest_networks_of_each_space_are_within_the_bounds():
    for name in STANDARD:
        space = get_space(name)
        values = {key: max(numbers) for key, numbers in space._choices().items()}
        lists = {"ds": values["depth"], "ws": values["width"], "bm": "1", "gs": "1"}
        every = {key: ",".join([str(value)] * 3) for key, value in lists.items() if key in space._keys()}
        space.validate(";".join(f"{key}={value}" for key, value in {**every, "ss": "1,2,2"}.items()))
    for name in CELL_SPACES:
        space = get_space(name)
        for width, depth in ((32, MAX_DEPTH), (96, 22), (168, 20)):  # 96 and 22: NDS on ImageNet; 168: NASNet-A
            space.validate(format_architecture(largest_architecture(space.ops, space.nodes, width, depth)))
    DARTS.validate(f"C{MAX_WIDTH}-L4|{GENOTYPES['DARTS_V2']}")
    # A chain of 3x3 convolutions with the other edges from the input.
    chain = "conv3x3~0+conv3x3~0,1+conv3x3~0,2+conv3x3~0,3+conv3x3~4+output~5"
    assert get_space(f"nasbench101:stem_channels={MAX_STEM_CHANNELS}").complexity(chain).params < MAX_PARAMS
