"""``naswot spaces``: the list of the spaces and the pictures of architectures."""

import itertools
import random
from functools import partial

import pytest

from naswot_lightning.cli import run_named
from naswot_lightning.spaces import get_space, list_spaces
from naswot_lightning.spaces.drawing import GAP, lay_out

main = partial(run_named, "spaces")
SIGNATURES = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml"}
NB201 = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"


def graphs(name, seeds):
    space = get_space(name)
    return [graph for seed in range(seeds) for graph in space.graph(space.sample(random.Random(seed)))]


def test_the_list_names_every_space(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    lines = listed.splitlines()
    assert lines[0].split() == ["space", "architectures", "skeleton", "made", "for", "source", "options"]
    assert [line.split()[0] for line in lines[1:] if not line.startswith(" ")] == list_spaces()
    # The number of DARTS cells is that of the NDS paper: 242 billion.
    for size in ("15,625", "32,768", "423,624 cells", "(2.4e11 cells)^2", "108^3 = 1,259,712 networks"):
        assert f"  {size} " in listed
    assert "width=int, depth=int, imagenet=bool" in listed


def test_a_random_architecture_is_drawn(tmp_path, capsys):
    names = ("nasbench201", "nasbench101", "nds_darts:width=16,imagenet=true", "nds_resnext_a")
    for name, kind in zip(names, itertools.cycle(SIGNATURES), strict=False):
        path = tmp_path / name / f"cell.{kind}"
        assert main([name, "--seed", "3", "--output", str(path)]) == 0
        assert capsys.readouterr().out.strip() == get_space(name).sample(random.Random(3))
        content = path.read_bytes()
        assert content.startswith(SIGNATURES[kind])
        assert len(content) > 5_000
        assert list(path.parent.iterdir()) == [path]


def test_mistakes_are_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    messages = {
        "nasbench202 --output a.png": "did you mean 'nasbench201'",
        "nasbench201 --architecture |none~0| --output a.png": "expected 3 nodes joined by '+'",
        "nasbench201 --output a.pdf": "output 'a.pdf': the name must end in .png or .svg",
        "nasbench201 --output folder.png": "folder.png: Is a directory",
        "nasbench201": "--output is missing: name the picture to write",
        "--output a.png": "--space is missing",
        "naswot_lightning.spaces.base.NamedNetworks --output a.png": "of its constructor is missing",
    }
    for words, message in messages.items():
        assert main(words.split()) == 2
        error = capsys.readouterr().err
        assert error.startswith("naswot spaces: error: ")
        assert message in error
        assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_graph_has_dead_parts_where_nothing_arrives_or_leads_on():
    (graph,) = get_space("nasbench201").graph(NB201)
    assert all(node.live for node in graph.nodes)
    edges = {(edge.source, edge.target): edge.label for edge in graph.edges if edge.live}
    assert edges == {(0, 1): "nor_conv_3x3", (1, 2): "skip_connect", (2, 3): "avg_pool_3x3"}
    assert {(edge.source, edge.target) for edge in graph.edges if not edge.live} == {(0, 2), (0, 3), (1, 3)}
    (graph,) = get_space("nasbench101").graph("conv3x3~0+conv1x1~+maxpool3x3~1,2+output~1")
    assert [node.live for node in graph.nodes] == [True, True, False, False, True]
    assert [(edge.source, edge.target) for edge in graph.edges if not edge.live] == [(1, 3), (2, 3)]


def test_nothing_lies_on_a_text():
    """Boxes of a column, lines that pass it among them, are apart; columns follow one another with a gap."""
    for graph in (graph for name in list_spaces() for graph in graphs(name, seeds=4)):
        layout = lay_out(graph)
        for a, b in itertools.combinations(layout.boxes, 2):
            assert a.column != b.column or abs(a.y - b.y) > (a.height + b.height) / 2
        assert all(right[0] - left[1] == pytest.approx(GAP) for left, right in itertools.pairwise(layout.columns))
        for route in layout.routes:
            assert all(b.column == a.column + 1 for a, b in itertools.pairwise(route))
        for box in layout.boxes:
            left, right = layout.columns[box.column]
            assert left - 1e-6 <= box.x - box.width / 2 <= box.x + box.width / 2 <= right + 1e-6
            assert -1e-6 <= box.y - box.height / 2 <= box.y + box.height / 2 <= layout.height + 1e-6
