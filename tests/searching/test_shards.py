import pytest

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.registry import REGISTRIES
from naswot_lightning.searching.plan import plan_search
from tests.commands.ends import refused
from tests.searching.runs import QUICK, SPACE, rows_of

NOISE = {**QUICK, "dataset": "noise", "batch_size": 2}


def proposed(run, **options):
    return plan_search(SearchConfig(run_dir=str(run), **{**NOISE, **options})).algorithm.propose([])


def test_the_shards_of_a_search_are_its_candidates(tmp_path):
    listed = [SPACE[index] for index in range(0, 4_000, 40)]
    (tmp_path / "list").write_text("\n".join(listed))
    for options, partitions, size in (
        ({"samples": 200}, (1, 7, 60), 200),
        ({"samples": 50, "canonical": False, "max_params": 400_000, "seed": 7}, (2, 3), 50),
        ({"architectures": str(tmp_path / "list")}, (3,), len(listed)),
        ({"samples": "all"}, (3,), len(SPACE)),
    ):
        whole = proposed(tmp_path, **options)
        assert len(whole) == size
        for parts in partitions:
            shards = [proposed(tmp_path, shard=f"{number}/{parts}", **options) for number in range(1, parts + 1)]
            assert sorted(candidate for shard in shards for candidate in shard) == sorted(whole)
            assert all(shards)
            if options.get("canonical", True):
                networks = [set(map(SPACE.canonical, shard)) for shard in shards]
                assert sum(map(len, networks)) == len(set().union(*networks))


def test_invalid_shard_is_one_line_and_leaves_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(REGISTRIES["algorithm"], "climbing", REGISTRIES["algorithm"]["random"])
    monkeypatch.chdir(tmp_path)
    given = ("--run_dir", "run", "--samples", "6", "--batch_size", "4", "--dataset", "noise")
    for shard in ("0/4", "5/4", "-1/4", "a/b", "2", "1/2/3", "01/4", "1/4.0", "١/٤", "1/9999999999"):
        message = f"--shard {shard}: expected PART/PARTS, such as 2/4"
        assert message in refused(capsys, "search.py", *given, f"--shard={shard}")
    for words, message in (
        ("1/4 --calibrate", "--shard 1/4 and --calibrate"),
        ("1/7", "--shard 1/7: there are only 6 different networks; choose at most 6 shards"),
        ("2/2 --algorithm climbing", "--shard 2/2: the candidates of --algorithm climbing depend"),
        ("1/2 --samples 1 --max_params 9", "no candidate meets the limits"),
    ):
        assert message in refused(capsys, "search.py", *given, "--shard", *words.split())
    assert not list(tmp_path.iterdir())


def test_a_ranking_of_a_shard_says_so_and_its_folder_belongs_to_it(tmp_path, capsys):
    run = tmp_path / "run"
    assert run_search(SearchConfig(run_dir=str(run), shard="2/4", **NOISE)) == 0
    assert "This is only shard 2/4: 2 of 6 candidates" in capsys.readouterr().out
    assert len(rows_of(run)) == 2
    for shard, now in (("1/4", "'1/4'"), (None, "None")):
        with pytest.raises(UserError, match=f"shard was '2/4', now {now}.*--overwrite"):
            run_search(SearchConfig(run_dir=str(run), shard=shard, **NOISE))
