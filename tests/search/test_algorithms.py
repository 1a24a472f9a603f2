import os

import pytest

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.data.splits import read_split_file
from naswot_lightning.errors import UserError
from naswot_lightning.search.algorithms.random import read_architectures, sample_space
from spaces import get_space
from tests.search.runs import QUICK, SPACE, rows_of
from tests.spaces.nds.architectures import GENOTYPES


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no architecture in it"),
        ("|none~0|\n", "line 1: architecture"),
        (f"{SPACE[0]}\nnonsense\n", "line 2: architecture 'nonsense': expected 3 nodes"),
        ("index,arch\n1,oops\n", "line 2: architecture 'oops'"),
    ],
)
def test_faults_of_a_list_are_named_by_line(tmp_path, content, message):
    (tmp_path / "list").write_text(content)
    with pytest.raises(UserError, match=message):
        read_architectures(SPACE, tmp_path / "list")
    with pytest.raises(UserError, match="no such file"):
        read_architectures(SPACE, tmp_path / "absent")


NASLIB = "(4, 0, 3, 1, 2, 3)"  # edges 1-2, 1-3, 1-4, 2-3, 2-4, 3-4 of skip, none, 3x3, 1x1, pooling
READ = "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|nor_conv_3x3~1|nor_conv_1x1~2|"


@pytest.mark.parametrize(
    "content", [f"\ufeff{READ}\n", f"{NASLIB}\n{READ}\n", f"\ufeffarch_str,acc\n{READ},1\n", f'n,arch\n1,"{NASLIB}"\n']
)
def test_lists_that_others_write_are_read(tmp_path, content):
    (tmp_path / "list").write_text(content, encoding="utf-8")
    assert read_architectures(SPACE, tmp_path / "list") == [READ]


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


def test_a_list_without_an_end_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UserError, match="not a regular file; write the list to one"):
            read_architectures(SPACE, path)
        with pytest.raises(UserError, match="not a regular file"):
            read_split_file(path, "cifar100", 4)


def test_samples_are_distinct_and_grow_from_the_front():
    assert sample_space(SPACE, 50, 1) == sample_space(SPACE, 80, 1)[:50]
    assert len(set(sample_space(SPACE, 80, 1))) == 80
    assert len(set(sample_space(SPACE, 15_625, 1))) == 15_625
    with pytest.raises(UserError, match="15625 architectures; use --samples all"):
        sample_space(SPACE, 15_626, 1)


def test_limits_refuse_before_scoring_and_say_how_many(tmp_path, capsys):
    run = tmp_path / "run"
    run_search(SearchConfig(run_dir=str(run), max_params=400_000, max_macs=13_000_000, **QUICK))
    assert len(rows_of(run)) == 6
    assert all(row["params"] <= 400_000 and row["macs"] <= 13_000_000 for row in rows_of(run))
    assert "candidates refused" in capsys.readouterr().out
    with pytest.raises(UserError, match="within the limits"):
        run_search(SearchConfig(run_dir=str(tmp_path / "none"), max_params=10, **{**QUICK, "samples": 1}))
    listed = tmp_path / "list"
    listed.write_text(SPACE[1462])
    with pytest.raises(UserError, match=r"1 of 1 candidates refused.*raise the limits"):
        run_search(SearchConfig(run_dir=str(tmp_path / "none"), max_params=10, architectures=str(listed), **QUICK))
    assert not (tmp_path / "none").exists()
