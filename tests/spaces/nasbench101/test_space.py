"""The cells of NAS-Bench-101: strings, hashes, canonical forms, mutation, sampling."""

import hashlib
import itertools
import pickle
import random
from collections import Counter

import pytest
import torch

from spaces import SpaceError, get_space
from spaces.nasbench101.graph import (
    OPS,
    Vertex,
    assemble,
    canonical_graph,
    format_graph,
    graph_from_matrix,
    graph_hash,
    live_graph,
    parse_graph,
    prune,
)
from spaces.nasbench101.space import CELLS, uniform_cell

SPACE, NARROW = get_space("nasbench101"), get_space("nasbench101_16")
SAMPLED = [SPACE.sample(random.Random(seed)) for seed in range(100)]


class Entries(pickle.Unpickler):
    """Reads the benchmark's entries: plain containers and numpy arrays, nothing else."""

    def find_class(self, module, name):
        if module.startswith("numpy") and name in {"_reconstruct", "ndarray", "dtype", "scalar"}:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"{module}.{name} is not expected in an entry")


def renamed(graph, order):
    """The same graph with its interior vertices in another order, or None where that order has a loop."""
    place = {old: new for new, old in enumerate([0, *order, len(graph)])}
    vertices = [
        Vertex(graph[old - 1].op, tuple(sorted(place[s] for s in graph[old - 1].sources))) for old in place if old
    ]
    fits = all(source < number for number, vertex in enumerate(vertices, 1) for source in vertex.sources)
    return tuple(vertices) if fits else None


def test_the_smallest_cell_is_one_edge():
    assert SPACE.canonical("output~0") == "output~0"
    assert SPACE.canonical("conv3x3~0+conv3x3~+output~0") == "output~0"
    # Dead edges do not count against the limit.
    dead = "conv3x3~0+conv3x3~0,1+conv3x3~0,1,2+conv3x3~0,1,2,3+conv3x3~0,1,2,3,4+output~0,1"
    assert SPACE.canonical(dead) == "conv3x3~0+output~0,1"
    assert NARROW.build("output~0", 3)(torch.zeros(2, 3, 8, 8)).shape == (2, 3)


def test_malformed_architecture_is_refused_with_its_position():
    messages = {
        "": "vertex 1: '' must read 'operation~sources'",
        "conv3x3~0+conv1x1~1": "vertex 2: 'conv1x1' at the end, which is that of 'output~sources'",
        "conv3x3-bn-relu~0+output~1": "vertex 1: .* did you mean 'conv3x3'",
        "conv3x3~0+conv1x1~2+output~1": r"vertex 2: source '2' is not an earlier vertex \(0 to 1\)",
        "conv3x3~0+" * 6 + "output~1": "8 vertices with the input, at most 7",
        "conv3x3~0+conv3x3~+output~2": r"no path from the input \(vertex 0\) to the output",
        "conv3x3~0+conv3x3~0,1+conv3x3~0,1,2+conv3x3~0,1,2+output~3,4": "11 edges on paths to the output, at most 9",
    }
    for architecture, message in messages.items():
        for method in ("build", "validate", "canonical", "complexity", "graph_hash"):
            with pytest.raises(SpaceError, match=message):
                getattr(SPACE, method)(architecture)


def test_malformed_matrix_is_refused():
    faults = {
        "expected 2 x 2 entries": ([[0, 1]], ["input", "output"]),
        "entry 1,0 is not above the diagonal": ([[0, 1], [1, 0]], ["input", "output"]),
        "entry 0,0 is not above the diagonal": ([[1, 1], [0, 0]], ["input", "output"]),
        "the last 'output'": ([[0, 1], [0, 0]], ["input", "conv3x3-bn-relu"]),
        "label 1: 'conv3x3', expected one of": ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", "conv3x3", "output"]),
    }
    for message, (matrix, labels) in faults.items():
        with pytest.raises(SpaceError, match=message):
            graph_from_matrix(matrix, labels)


def test_hash_of_the_smallest_graph_by_hand():
    """Section 3.2 written out for input -> output: two rounds over two vertices."""

    def md5(text):
        return hashlib.md5(text.encode()).hexdigest()

    source, target = md5("(1, 0, -1)"), md5("(0, 1, -2)")
    for _ in range(2):
        source, target = md5(f"|{target}|{source}"), md5(f"{source}||{target}")
    assert graph_hash((Vertex("output", (0,)),)) == md5(str(sorted([source, target])))


def test_official_hashes_and_parameter_counts(shared):
    """30 entries of the benchmark: key and trainable parameters of each."""
    with shared("nasbench101-30.pkl").open("rb") as file:
        entries = Entries(file).load()
    assert len(entries) == 30
    for key, (fixed, _) in entries.items():
        architecture = format_graph(graph_from_matrix(fixed["module_adjacency"], fixed["module_operations"]))
        assert SPACE.graph_hash(architecture) == key
        assert SPACE.graph_hash(SPACE.canonical(architecture)) == key
        assert SPACE.complexity(architecture).params == fixed["trainable_parameters"]


def test_all_small_cells_have_one_canonical_form_per_hash():
    """Every graph of 2 to 5 vertices: 1 + 6 + 84 + 2,441 cells in the benchmark, by hash and by canonical form."""
    forms = {}
    for size in (2, 3, 4, 5):
        pairs = list(itertools.combinations(range(size), 2))
        for chosen in itertools.product((0, 1), repeat=len(pairs)):
            edges = set(itertools.compress(pairs, chosen))
            bare = assemble(edges, ["conv3x3"] * (size - 2))
            if len(edges) > 9 or prune(bare) != bare:
                continue
            for ops in itertools.product(OPS, repeat=size - 2):
                graph = assemble(edges, ops)
                forms.setdefault(graph_hash(graph), set()).add(canonical_graph(graph))
    assert len(forms) == sum(CELLS[size] for size in (2, 3, 4, 5)) == 1 + 6 + 84 + 2_441
    assert all(len(found) == 1 for found in forms.values())
    assert len(set.union(*forms.values())) == len(forms)


def test_canonical_form_is_that_of_every_isomorphic_graph():
    rng, compared = random.Random(0), 0
    for architecture in SAMPLED:
        graph, canonical = live_graph(architecture), SPACE.canonical(architecture)
        assert SPACE.canonical(canonical) == canonical == SPACE.canonical(format_graph(graph))
        assert SPACE.graph_hash(canonical) == SPACE.graph_hash(architecture)
        assert SPACE.complexity(format_graph(graph)) == SPACE.complexity(architecture)  # dead vertices are not built
        other = renamed(graph, rng.sample(range(1, len(graph)), len(graph) - 1))
        if other is not None:
            assert SPACE.canonical(format_graph(other)) == canonical
            assert graph_hash(other) == SPACE.graph_hash(architecture)
            compared += other != graph
    assert compared > 5


def test_mutation_stays_in_the_space_and_differs():
    for seed, architecture in enumerate(SAMPLED):
        mutated = SPACE.mutate(architecture, random.Random(seed))
        SPACE.validate(mutated)
        assert mutated != architecture
        assert len(parse_graph(mutated)) == 6


def test_mutation_rates():
    """One of 21 edges in 7 and one of 5 operations in 5, where no child is refused (few edges, many paths)."""
    rng, start = random.Random(0), parse_graph("conv3x3~+conv3x3~+conv3x3~+conv3x3~+conv3x3~+output~0")
    children = [parse_graph(SPACE.mutate(format_graph(start), rng)) for _ in range(4_000)]
    changed = [sum(vertex.op != "conv3x3" for vertex in child[:-1]) for child in children]
    assert sum(changed) / len(children) == pytest.approx(1, abs=0.05)
    # Edge 1 -> 2 alone leads nowhere: it is rarely part of a refused child.
    assert sum(1 in child[1].sources for child in children) / len(children) == pytest.approx(1 / 7, abs=0.03)


def test_uniform_sampling_gives_every_cell_the_same_share():
    """The 84 cells of 4 vertices: chi-square of 8,400 draws, 83 degrees of freedom, mean 83 and deviation 13."""
    rng = random.Random(0)
    counts = Counter(format_graph(canonical_graph(uniform_cell(4, rng))) for _ in range(8_400))
    assert len(counts) == CELLS[4]
    assert sum((count - 100) ** 2 / 100 for count in counts.values()) < 83 + 4 * 13


def test_sampling_follows_the_rule_of_the_benchmark_or_the_numbers_of_cells():
    """Edges by a fair coin on 7 vertices, kept where valid; uniform: 85 % of the cells have 7 vertices."""
    draws = [SPACE.sample(random.Random(seed)) for seed in range(400)]
    shares = [sum(op in text for text in draws) / len(draws) for op in OPS]
    assert shares == pytest.approx([1 - (2 / 3) ** 5] * 3, abs=0.06)
    rng = random.Random(0)
    draws = [SPACE.sample_uniform(rng) for _ in range(40)]
    assert sum(CELLS.values()) == 423_624
    assert sum(len(live_graph(architecture)) == 6 for architecture in draws) / 40 == pytest.approx(0.85, abs=0.15)
