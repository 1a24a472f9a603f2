import random
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from naswot_lightning import activation_kernel, naswot_score
from spaces import SpaceError, get_space
from spaces.nds_canonical import canonical_cell, live_nodes
from spaces.nds_cells import DEPTHS, GENOTYPES, WIDTHS, DARTSSpace
from spaces.nds_genotype import Cell, CellArchitecture, format_architecture, parse_architecture
from spaces.nds_operations import OPERATIONS, FactorizedReduce, operation
from spaces.nds_skeleton import CellModule, Skeleton, dropped_path

CELL_SPACES = ("nds_nasnet", "nds_amoeba", "nds_pnas", "nds_enas", "nds_darts")
HOME = {"DARTS_V2": "nds_darts", "PNASNet": "nds_pnas", "AmoebaNet": "nds_amoeba", "NASNet": "nds_nasnet"}
DARTS = get_space("nds_darts")
SMALL = f"C4-L3|{GENOTYPES['DARTS_V2']}"

any_space = pytest.mark.parametrize("name", CELL_SPACES)
seeds = st.integers(0, 2**32)


def resized(architecture, head="C2-L3"):
    """The same cells in a network that is quick to run: one normal and two reduction cells."""
    return "|".join([head, *architecture.split("|")[1:]])


@st.composite
def architectures(draw, concat_any=False):
    """(space, architecture) with any cells; with ``concat_any``, cells that leave nodes out of the output."""
    space = get_space(draw(st.sampled_from(CELL_SPACES)))
    parsed = space.parse(space.sample(random.Random(draw(seeds))))
    if concat_any:
        nodes = st.sets(st.sampled_from(list(parsed.normal.nodes)), min_size=1)
        normal, reduce = (tuple(sorted(draw(nodes))) for _ in range(2))
        parsed = replace(
            parsed, normal=replace(parsed.normal, concat=normal), reduce=replace(parsed.reduce, concat=reduce)
        )
    return space, format_architecture(parsed)


# Published figures: C, L, parameters with 10 classes and with 1, rectified units as the published code counts.
GOLDEN = [
    ("DARTS_V2", 36, 20, 3_349_342, 3_344_149, None),
    ("DARTS_V2", 16, 8, 246_106, 243_793, 1_843_200),
    ("PNASNet", 16, 8, 408_762, 405_873, 2_510_848),
    ("AmoebaNet", 16, 8, 326_330, 324_593, 1_662_976),
    ("NASNet", 16, 8, 333_946, 331_057, 2_187_264),
]


@pytest.mark.parametrize(("genotype", "width", "depth", "ten", "one", "units"), GOLDEN)
def test_published_cells_have_their_published_size(genotype, width, depth, ten, one, units):
    space, architecture = get_space(HOME[genotype]), f"C{width}-L{depth}|{GENOTYPES[genotype]}"
    assert space.complexity(architecture, 10).params == ten
    assert space.complexity(architecture, 1).params == one
    if units is not None:
        network = space.build(architecture, num_classes=1)
        assert activation_kernel(network, torch.randn(2, 3, 32, 32), variant="reference").n_units == units


@pytest.mark.parametrize(
    ("genotype", "hooks"), [("DARTS_V2", 96), ("PNASNet", 128), ("AmoebaNet", 96), ("NASNet", 110)]
)
def test_published_cells_have_as_many_modules_named_relu_as_the_published_code_hooks(genotype, hooks):
    network = get_space(HOME[genotype]).build(f"C16-L8|{GENOTYPES[genotype]}", 1)
    called = []
    for module in network.modules():
        if "ReLU" in str(type(module)):
            module.register_forward_hook(lambda *_: called.append(1))
    network(torch.randn(2, 3, 8, 8))
    assert len(called) == hooks


def test_imagenet_skeleton_has_its_published_size():
    architecture = f"C48-L14-imagenet|{GENOTYPES['DARTS_V2']}"
    assert DARTS.complexity(architecture, 1000, image_size=64).params == 4_718_752


def test_each_preprocessing_rectifier_counts_twice_in_the_reference():
    network = DARTS.build(SMALL)
    images = torch.randn(2, 3, 8, 8)
    paper = activation_kernel(network, images).n_units
    reference = activation_kernel(network, images, variant="reference").n_units
    # Cells on 8x8, 4x4 and 2x2 images: the stem's 12 channels, twice; 12 and 16; 4 * 8 (reduced by a wrapper
    # that is not counted beside its ReLU).
    assert reference - paper == 2 * 12 * 64 + (12 + 16) * 64 + 4 * 8 * 16


@any_space
def test_sampled_architectures_build_round_trip_and_follow_the_rule_of_the_output(name):
    space, rng = get_space(name), random.Random(0)
    for _ in range(4):
        architecture = space.sample(rng)
        parsed = space.parse(architecture)
        assert format_architecture(parsed) == architecture
        assert parsed.width in WIDTHS
        assert parsed.depth in DEPTHS
        for cell in (parsed.normal, parsed.reduce):
            loose = set(cell.nodes) - {source for _, source in cell.edges}
            assert set(cell.concat) == (set(cell.nodes) if space.concat_all else loose)
        with torch.device("meta"):
            network = space.build(architecture, 7).eval()
            assert network(torch.empty(2, 3, 32, 32)).shape == (2, 7)


@any_space
def test_sampling_draws_every_operation_and_every_input_equally_often(name):
    space, rng = get_space(name), random.Random(1)
    cells = [space.parse(space.sample(rng)).normal for _ in range(400)]
    ops = [op for cell in cells for op, _ in cell.edges]
    assert [ops.count(op) / len(ops) for op in space.ops] == pytest.approx(
        [1 / len(space.ops)] * len(space.ops), abs=0.03
    )
    last = [cell.edges[-1][1] for cell in cells]
    states = space.nodes + 1
    assert [last.count(i) / len(last) for i in range(states)] == pytest.approx([1 / states] * states, abs=0.08)


@settings(max_examples=25, deadline=None)
@given(architectures(), seeds)
def test_mutation_changes_one_thing(case, seed):
    space, architecture = case
    child = space.mutate(architecture, random.Random(seed))
    before, after = space.parse(architecture), space.parse(child)
    edges = zip(before.normal.edges + before.reduce.edges, after.normal.edges + after.reduce.edges, strict=True)
    differences = sum((a[0] != b[0]) + (a[1] != b[1]) for a, b in edges)
    differences += (before.width != after.width) + (before.depth != after.depth)
    assert differences == 1
    for cell in (after.normal, after.reduce):
        loose = set(cell.nodes) - {source for _, source in cell.edges}
        assert set(cell.concat) == (set(cell.nodes) if space.concat_all else loose)
    with torch.device("meta"):
        network = space.build(resized(child), 3).eval()
        assert network(torch.empty(1, 3, 16, 16)).shape == (1, 3)


def test_mutation_reaches_everything():
    rng, changed = random.Random(0), set()
    before = DARTS.parse(DARTS.sample(rng))
    for _ in range(600):
        after = DARTS.parse(DARTS.mutate(format_architecture(before), rng))
        changed |= {
            field for field in ("normal", "reduce", "width", "depth") if getattr(before, field) != getattr(after, field)
        }
        changed |= {i for i, (a, b) in enumerate(zip(before.normal.edges, after.normal.edges, strict=True)) if a != b}
    assert changed == {"normal", "reduce", "width", "depth", *range(8)}


def test_fixed_width_and_depth_stay_fixed():
    space, rng = DARTSSpace(width=20, depth=9), random.Random(0)
    architecture = space.sample(rng)
    for _ in range(60):
        assert architecture.startswith("C20-L9|")
        architecture = space.mutate(architecture, rng)
    assert DARTSSpace(imagenet=True).sample(rng).split("|")[0].endswith("-imagenet")


@settings(max_examples=60, deadline=None)
@given(architectures(concat_any=True))
def test_canonical_is_a_fixed_point_in_canonical_spelling(case):
    space, architecture = case
    canonical = space.canonical(architecture)
    assert space.canonical(canonical) == canonical
    assert format_architecture(space.parse(canonical)) == canonical
    swapped = space.parse(architecture)
    edges = swapped.normal.edges
    exchanged = tuple(edge for pair in zip(edges[1::2], edges[::2], strict=True) for edge in pair)
    swapped = replace(swapped, normal=replace(swapped.normal, edges=exchanged))
    assert space.canonical(format_architecture(swapped)) == canonical


def _randomized(network):
    """Give BatchNorm weights, biases and statistics that training could lead to."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(tensor)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network


def _copy_by_edge(source, target):
    """Give ``target`` the weights of ``source``: edges of a node may have changed places or become zero."""
    weights = source.state_dict()
    for position, (old, new) in enumerate(zip(source.cells, target.cells, strict=True)):
        prefix = f"cells.{position}.operations"
        weights = {key: value for key, value in weights.items() if not key.startswith(f"{prefix}.")}
        for first in range(0, len(old.operations), 2):
            candidates = [first, first + 1]
            for edge in (first, first + 1):
                match = next((c for c in candidates if old.cell.edges[c] == new.cell.edges[edge]), None)
                if match is not None:
                    candidates.remove(match)
                    state = old.operations[match].state_dict()
                    weights |= {f"{prefix}.{edge}.{key}": value for key, value in state.items()}
    target.load_state_dict(weights)  # strict: every weight of the canonical network has a source


def _assert_canonical_computes_the_same(space, architecture):
    architecture = resized(architecture)
    torch.manual_seed(0)
    full = _randomized(space.build(architecture)).eval()
    canonical = space.build(space.canonical(architecture)).eval()
    _copy_by_edge(full, canonical)
    images = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(full(images), canonical(images), rtol=1e-4, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(architectures(concat_any=True))
def test_canonical_computes_the_same_function(case):
    _assert_canonical_computes_the_same(*case)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_canonical_computes_the_same_function_where_much_is_zero(seed):
    rng = random.Random(seed)
    ops = ("none", "none", "none", "sep_conv_5x5", "skip_connect", "max_pool_3x3", "avg_pool_3x3")
    cells = []
    for _ in range(2):
        edges = [(rng.choice(ops), rng.randrange(2 + edge // 2)) for edge in range(2 * DARTS.nodes)]
        cells.append(Cell(tuple(edges), tuple(sorted(rng.sample(range(2, 6), rng.randint(1, 4))))))
    _assert_canonical_computes_the_same(DARTS, format_architecture(CellArchitecture(*cells, 2, 3)))


def test_canonical_forms_of_small_cells():
    ops = ("none", "skip_connect", "max_pool_3x3", "conv_3x3")
    zero = ("none", 1), ("none", 0)
    pooled = Cell((*zero, ("max_pool_3x3", 2), ("conv_3x3", 0)), (3,))
    assert canonical_cell(pooled, ops, ("none", 0)).edges == (("none", 0),) * 3 + (("conv_3x3", 0),)
    convolved = Cell((*zero, ("conv_3x3", 2), ("conv_3x3", 0)), (3,))
    assert canonical_cell(convolved, ops, ("none", 0)).edges[2:] == (("conv_3x3", 0), ("conv_3x3", 2))
    unused = Cell((("conv_3x3", 0), ("conv_3x3", 1), ("conv_3x3", 0), ("conv_3x3", 0)), (3,))
    assert canonical_cell(unused, ops, ("skip_connect", 0)).edges[:2] == (("skip_connect", 0),) * 2


def test_nodes_that_do_not_reach_the_output_are_not_run():
    cell = Cell((("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 1)), (3,))
    module = CellModule(cell, 4, 4, 4, reduces=False, after_reduction=False)
    module.operations[0].register_forward_hook(lambda *_: pytest.fail("a dead node was run"))
    assert module(torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)).shape == (1, 4, 8, 8)
    through = Cell((("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("none", 2), ("skip_connect", 1)), (3,))
    assert live_nodes(through, through_none=True) == {2, 3}
    assert live_nodes(through, through_none=False) == {3}


heads = st.builds(
    lambda width, depth, imagenet, aux, drop: CellArchitecture(
        DARTS.parse(SMALL).normal, DARTS.parse(SMALL).reduce, width, depth, imagenet, aux, drop
    ),
    st.integers(2, 300),
    st.integers(1, 50),
    st.booleans(),
    st.booleans(),
    st.floats(0, 1, exclude_max=True),
)


@given(heads)
def test_settings_round_trip(architecture):
    assert parse_architecture(format_architecture(architecture), DARTS.ops, DARTS.nodes) == architecture


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("|normal", "normal", "expected 3 parts joined by '\\|', found 2"),
        ("C4-L3", "C4", "must begin with the width and depth, as C16-L8"),
        ("C4-L3", "C0-L3", "must begin with the width and depth"),
        ("C4-L3", "C4-L3-imgnet", "unknown option 'imgnet', .* did you mean 'imagenet'"),
        ("C4-L3", "C4-L3-drop2", "'drop2' must be a probability below 1"),
        ("C4-L3", "C4-L3-aux-aux", "option 'aux' is written twice"),
        ("C4-L3", "C1-L3-imagenet", "it must be 2 or more"),
        ("reduce:", "reduction:", "must begin with 'reduce:'"),
        ("->2,3,4,5|", "|", "normal cell: no '->'"),
        ("sep_conv_3x3~0+sep_conv_3x3~1;", "", "normal cell: expected 4 nodes separated by ';', found 2"),
        (
            "dil_conv_3x3~2->",
            "dil_conv_3x3~2+none~0->",
            "normal cell, node 5: expected 2 edges joined by '\\+', found 3",
        ),
        ("dil_conv_3x3~2", "dil_conv_3x3", "node 5: 'dil_conv_3x3' must read 'operation~input'"),
        ("dil_conv_3x3", "dilconv_3x3", "node 5: unknown operation 'dilconv_3x3', .* did you mean 'dil_conv_3x3'"),
        ("dil_conv_3x3~2", "dil_conv_3x3~5", "has the input '5', expected one of 0, 1, 2, 3, 4"),
        ("max_pool_3x3~0+max_pool_3x3~1", "none~0+none~x", "reduce cell, node 2: .* input 'x', expected one of 0, 1"),
        ("->2,3,4,5|", "->2,3,4,6|", "normal cell: '6' after '->' is not a node, expected some of 2, 3, 4, 5"),
        ("->2,3,4,5|", "->|", "'' after '->' is not a node"),
        ("->2,3,4,5|", "->3,2|", "must ascend"),
    ],
)
def test_malformed_architectures_are_refused_with_their_place(old, new, message):
    assert old in SMALL
    with pytest.raises(SpaceError, match=message):
        DARTS.build(SMALL.replace(old, new))


def test_operations_of_another_space_are_refused():
    with pytest.raises(SpaceError, match="unknown operation 'sep_conv_7x7'"):
        get_space("nds_enas").validate(f"C16-L8|{GENOTYPES['AmoebaNet']}")


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(("stride", "size"), [(1, 8), (2, 8), (1, 7), (2, 7)])
def test_operations_keep_channels_and_divide_the_image(name, stride, size):
    output = operation(name, 6, stride)(torch.randn(2, 6, size, size))
    assert output.shape == (2, 6, -(-size // stride), -(-size // stride))


def test_operations_hold_no_class_that_the_published_code_would_count_beside_its_relu():
    named = [m for op in OPERATIONS for m in operation(op, 4, 2).modules() if "ReLU" in str(type(m))]
    assert {type(module) for module in named} == {nn.ReLU}
    assert not any(module.inplace for module in named)


def test_factorized_reduction_sees_every_other_pixel_of_both_kinds():
    module = FactorizedReduce(1, 2).eval()
    nn.init.ones_(module.even.weight)
    nn.init.ones_(module.odd.weight)
    image = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    expected = torch.tensor([[[1.0, 3.0], [7.0, 9.0]], [[5.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(module(image)[0], expected, rtol=1e-4, atol=1e-4)


@any_space
@pytest.mark.parametrize("size", [16, 32])
def test_networks_are_scored(name, size):
    space = get_space(name)
    network = space.build(resized(space.sample(random.Random(0)), "C4-L3-aux-drop0.3"), 1)
    torch.manual_seed(0)
    images = torch.randn(4, 3, size, size)
    score = naswot_score(network, images)
    assert score > 0
    assert naswot_score(network, images) == score
    assert network.training


def test_weights_depend_on_the_generator_alone():
    torch.manual_seed(3)
    first = DARTS.build(SMALL).state_dict()
    torch.manual_seed(3)
    assert all(torch.equal(value, first[key]) for key, value in DARTS.build(SMALL).state_dict().items())


@pytest.mark.parametrize(("skeleton", "size"), [("", 32), ("-imagenet", 224)])
def test_networks_train_with_auxiliary_head_and_drop_path(skeleton, size):
    torch.manual_seed(0)
    network = DARTS.build(resized(SMALL, f"C4-L3{skeleton}-aux-drop0.2"), 5)
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    labels = torch.tensor([0, 4])
    for _ in range(2):
        logits, auxiliary = network(torch.randn(2, 3, size, size))
        assert logits.shape == auxiliary.shape == (2, 5)
        optimizer.zero_grad()
        (F.cross_entropy(logits, labels) + 0.4 * F.cross_entropy(auxiliary, labels)).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
        optimizer.step()
    assert network.eval()(torch.randn(2, 3, size, size)).shape == (2, 5)


def test_auxiliary_head_refuses_images_that_it_is_not_made_for():
    network = DARTS.build(resized(SMALL, "C4-L3-aux"))
    with pytest.raises(ValueError, match=r"made for feature maps of 8x8 \(32x32 images\), not 4x4"):
        network(torch.randn(2, 3, 16, 16))


def test_auxiliary_head_does_not_change_the_logits():
    """It reads the tensor that the next cell reads, and must leave it as it is."""
    torch.manual_seed(0)
    plain, with_head = DARTS.build(resized(SMALL, "C4-L3")), DARTS.build(resized(SMALL, "C4-L3-aux"))
    with_head.load_state_dict(plain.state_dict(), strict=False)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(with_head(images)[0], plain(images))


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    output = dropped_path(torch.ones(4000, 2, 3, 3), 0.25)
    assert output.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert torch.equal(output.amin(dim=(1, 2, 3)), output.amax(dim=(1, 2, 3)))
    assert output.mean().item() == pytest.approx(1.0, abs=0.03)


def test_drop_path_spares_identities_and_evaluation():
    skip = Cell((("skip_connect", 0), ("skip_connect", 1)), (2,))
    module = CellModule(skip, 4, 4, 4, reduces=False, after_reduction=False)
    inputs = torch.randn(8, 4, 4, 4), torch.randn(8, 4, 4, 4)
    torch.testing.assert_close(module(*inputs, 0.9), module(*inputs, 0.0))
    network: Skeleton = DARTS.build(resized(SMALL, "C4-L3-drop0.9")).eval()
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(network(images), network(images))
    network.train()
    assert not torch.equal(network(images), network(images))
    network.drop_path = 0.0
    assert torch.equal(network(images), network(images))
