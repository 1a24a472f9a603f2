"""Candidates that depend on no scores: samples, lists and shards."""

import pytest

from naswot_lightning.errors import UserError
from naswot_lightning.searching.algorithms.base import Limits
from naswot_lightning.searching.algorithms.random import deal, read_architectures, sample_space
from naswot_lightning.spaces import get_space
from naswot_lightning.spaces.errors import TooLargeError
from tests.searching.runs import SPACE
from tests.spaces.nds.architectures import GENOTYPES

NASLIB = "(4, 0, 3, 1, 2, 3)"  # edges 1-2, 1-3, 1-4, 2-3, 2-4, 3-4 of skip, none, 3x3, 1x1, pooling
READ = "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|nor_conv_3x3~1|nor_conv_1x1~2|"


def test_lists_that_others_write_are_read_and_faults_named_by_line(tmp_path):
    file = tmp_path / "list"
    for content in (
        f"\ufeff{READ}\n",
        f"{NASLIB}\n{READ}\n",
        f"\ufeffarch_str,acc\n{READ},1\n",
        f'n,arch\n1,"{NASLIB}"\n',
    ):
        file.write_text(content, encoding="utf-8")
        assert read_architectures(SPACE, file) == [READ]
    for content, message in (
        ("", "has no architectures"),
        ("|none~0|\n", "line 1: architecture"),
        (f"{SPACE[0]}\nnonsense\n", "line 2: architecture 'nonsense': expected 3 nodes"),
        ("index,arch\n1,oops\n", "line 2: architecture 'oops'"),
    ):
        file.write_text(content)
        with pytest.raises(UserError, match=message):
            read_architectures(SPACE, file)
    with pytest.raises(UserError, match="no such file"):
        read_architectures(SPACE, tmp_path / "absent")


def test_a_genotype_of_darts_needs_a_width_and_a_depth(tmp_path):
    edges = "[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), "
    normal = edges + "('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)]"
    reduce = normal.replace("dil", "sep")
    text = f"V2 = Genotype(normal={normal}, normal_concat=[2, 3, 4, 5], reduce={reduce}, reduce_concat=range(2, 6))"
    (tmp_path / "list").write_text(text)
    cell = GENOTYPES["DARTS_V2"].partition("|")[0].removeprefix("normal:")
    expected = f"C16-L8|normal:{cell}|reduce:{cell.replace('dil', 'sep')}"
    assert read_architectures(get_space("nds_darts:width=16,depth=8"), tmp_path / "list") == [expected]
    with pytest.raises(UserError, match="has no width and depth; give them: --space nds_darts:width=16,depth=8"):
        read_architectures(get_space("nds_darts"), tmp_path / "list")
    (tmp_path / "list").write_text(text.replace("range(2, 6)", "exit()"))
    with pytest.raises(UserError, match=r"expected Genotype\(normal="):
        read_architectures(get_space("nds_darts:width=16,depth=8"), tmp_path / "list")


def test_samples_are_distinct_and_grow_from_the_front():
    assert sample_space(SPACE, 50, 1) == sample_space(SPACE, 80, 1)[:50]
    assert len(set(sample_space(SPACE, 80, 1))) == 80
    assert len(set(sample_space(SPACE, 15_625, 1))) == 15_625
    with pytest.raises(UserError, match="15625 architectures; use --samples all"):
        sample_space(SPACE, 15_626, 1)


def test_limits_refuse_what_is_too_large_and_leave_other_faults_to_the_row():
    def size(architecture):
        if architecture in faults:
            raise faults[architecture]
        return None if architecture == "unknown" else len(architecture)

    faults = {"a": TooLargeError("a"), "b": RuntimeError("b"), "c": UserError("no such data"), "d": OSError("disk")}
    limits = Limits({"params": 3}, {"params": size})
    found = [limits.accepts(architecture) for architecture in ("xyz", "wxyz", "a", "b", "unknown")]
    assert found == [True, False, False, True, False]
    said = "--max_params 3: 3 of 5 candidates left out (60.0 %), 1 without params"
    assert str(limits) == said
    assert str(limits.nothing_fits()) == (
        f"no candidate meets the limits: {said}; the smallest seen: params 3; raise the limits"
    )
    for architecture in ("c", "d"):
        with pytest.raises(type(faults[architecture])):
            limits.accepts(architecture)
    assert all(Limits({}, {"params": size}).accepts(architecture) for architecture in faults)


def test_a_candidate_whose_network_is_not_known_is_one_of_its_own():
    def canonical(candidate):
        if candidate == "b":
            raise RuntimeError
        return "a"

    assert deal(["a", "b", "c", "d"], canonical, 2) == [["a", "c", "d"], ["b"]]
