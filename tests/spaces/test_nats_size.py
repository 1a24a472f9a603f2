import bz2
import pickle
import random
from collections import Counter

import pytest
import torch

from naswot_lightning import activation_kernel
from spaces import Space, SpaceError, get_space
from spaces.base import count_macs, count_params
from spaces.nasbench201 import NASBench201Cell, parse_cell
from spaces.nats_size import CELL, SizeCell, parse_widths

SPACE = get_space("nats_size")


class Records(pickle.Unpickler):
    """Reads the benchmark's records: plain containers and numpy's numbers, nothing else."""

    def find_class(self, module, name):
        if (module, name) in {("collections", "OrderedDict"), ("numpy", "dtype")} or name == "scalar":
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"{module}.{name} is not expected in a record")


def test_index_is_the_lexicographic_product():
    assert len(SPACE) == 32_768
    anchors = {0: "8:8:8:8:8", 11: "8:8:8:16:32", 12: "8:8:8:16:40", 284: "8:8:40:32:40", 32_767: "64:64:64:64:64"}
    assert {index: SPACE[index] for index in anchors} == anchors
    assert {index: SPACE.index(name) for index, name in anchors.items()} == {index: index for index in anchors}


def test_order_is_that_of_the_benchmark_file(shared):
    path = shared("nats-bench-samples", "NATS-sss-v1_0-50262-simple", "meta.pickle.pbz2")
    with bz2.open(path) as file:
        assert list(SPACE) == Records(file).load()["meta_archs"]


def test_malformed_architecture_is_refused_with_its_position():
    messages = {
        "": "expected 5 widths joined by ':', found 1",
        "8:8:12:8:8": r"width 3 \(second cell\): '12', expected one of 8, 16, 24, 32, 40, 48, 56, 64",
        "8:8:8:8:wide": r"width 5 \(third cell\): 'wide'",
        "08:8:8:8:8": r"width 1 \(stem and first cell\): '08'",
        "8:-8:8:8:8": r"width 2 \(first reduction\): '-8'",
    }
    for architecture, message in messages.items():
        for method in ("build", "validate", "canonical", "complexity", "index"):
            with pytest.raises(SpaceError, match=message):
                getattr(SPACE, method)(architecture)


def test_published_sizes_on_cifar10():
    published = {
        "8:8:8:8:8": (11_714, 4_481_114),
        "8:8:8:16:32": (49_202, 6_840_650),
        "8:8:40:32:40": (144_834, 21_827_994),
    }
    for architecture, (params, macs) in published.items():
        found = SPACE.complexity(architecture)
        assert (found.params, found.macs) == (params, macs)
    assert SPACE.complexity("64:64:64:64:64").params == 713_674


def test_sizes_of_the_official_records(shared):
    """Parameters and flops (M) of every data set and training length."""
    sizes = {"cifar10-valid": (10, 32), "cifar10": (10, 32), "cifar100": (100, 32), "ImageNet16-120": (120, 16)}
    for index in (0, 11, 284):
        with bz2.open(shared("nats-bench-samples", "NATS-sss-v1_0-50262-simple", f"{index:06d}.pickle.pbz2")) as file:
            record = Records(file).load()
        for trained in record.values():
            assert trained["arch_str"] == SPACE[index]
            for (dataset, _), result in trained["all_results"].items():
                classes, size = sizes[dataset]
                found = SPACE.complexity(SPACE[index], classes, image_size=size)
                assert found.params == pytest.approx(result["params"] * 1e6, abs=0.5)
                assert found.macs == pytest.approx(result["flop"] * 1e6, abs=0.5)


def test_closed_forms_count_the_real_network():
    for seed, (classes, channels, size) in enumerate([(1, 1, 16), (120, 3, 32), (7, 4, 28)]):
        architecture = SPACE.sample(random.Random(seed))
        found = SPACE.complexity(architecture, classes, channels, size)
        with torch.device("meta"):
            network = SPACE.build(architecture, classes, channels).eval()
            measured = count_macs(network, torch.zeros(1, channels, size, size))
        assert (found.params, found.macs) == (count_params(network), measured)
    assert found == Space.complexity(SPACE, architecture, classes, channels, size)


def test_rectified_units():
    """As published (wrappers counted too); once each, all but the last are halved."""
    for architecture, units in {"8:8:8:8:8": 133_632, "8:8:8:16:32": 147_456, "8:8:40:32:40": 222_720}.items():
        network, images = SPACE.build(architecture, num_classes=1), torch.randn(2, 3, 32, 32)
        last = parse_widths(architecture)[-1] * 8 * 8
        assert activation_kernel(network, images, "reference").n_units == units
        assert activation_kernel(network, images).n_units == (units - last) // 2 + last


def test_cell_is_the_named_cell_of_nasbench201():
    """At one width the cell computes what NAS-Bench-201's code makes of :data:`CELL`, weight for weight."""
    ours, theirs = SizeCell(8, 8), NASBench201Cell(parse_cell(CELL), 8)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(ours(x), theirs(x))


def test_mutation_is_uniform_over_positions_and_widths():
    rng, start = random.Random(0), "8:8:8:8:8"
    counts = Counter(SPACE.mutate(start, rng) for _ in range(7_000))
    assert len(counts) == 35  # five positions, seven other widths
    assert all(130 < count < 280 for count in counts.values())
