import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import yaml

from naswot_lightning.cli.search import run_search
from naswot_lightning.cli.train import run_training
from naswot_lightning.config import SearchConfig, TrainConfig, WandbConfig
from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import lock_folder
from naswot_lightning.training.plan import choose_picks, named_picks, plan_training
from naswot_lightning.training.settings import PickRun, prepare_pick, read_pick, write_retry

STATUSES = ("ok", "ok", "ok", "degenerate", "failed")


def ranking(networks="abbcd"):
    return pd.DataFrame({"rank": range(1, 6), "canonical": list(networks), "status": STATUSES})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", [1, 2, 4]),  # each network once, those without a score too, none that failed
        ("1", [1]),
        ("4,1", [1, 4]),
        ("1-3", [1, 2]),
        ("2, 3-4", [2, 4]),
        ("3", [3]),
    ],
)
def test_picks_by_rank(text, expected):
    assert named_picks(ranking(), text)["rank"].tolist() == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("6", "the ranking has no rank 6; its ranks are 1 to 5"),
        ("0", "no rank 0"),
        ("5", "rank 5 failed when it was scored"),
        ("best", "expected all, or ranks such as 1,5,10-12"),
        ("1,,2", "expected all, or ranks"),
        ("1-4,6-99999999", "no rank 6"),
    ],
)
def test_picks_that_are_not_in_the_ranking(text, message):
    with pytest.raises(UserError, match=message):
        named_picks(ranking(), text)


def test_picks_are_the_top_or_spread_over_different_networks():
    rows = pd.DataFrame({"canonical": list("aabcddefghijz"), "status": ["ok"] * 12 + ["degenerate"]})

    def picked(top, select):
        return "".join(choose_picks(rows, top, select)["canonical"])

    assert picked(3, "top") == "abc"
    assert picked(4, "spread") == "adgj"
    assert picked(2, "spread") == "aj"
    assert picked(1, "spread") == "a"
    assert picked(10, "spread") == "abcdefghij"
    with pytest.raises(UserError, match="--top 11: the ranking has 10 different networks"):
        choose_picks(rows, 11, "spread")


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """The ranking of an explicit list, one of whose networks has no score."""
    folder = tmp_path_factory.mktemp("listed")
    networks = [
        "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",  # another spelling of the first's function
        "|skip_connect~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|",
    ]
    (folder / "list.txt").write_text("\n".join(networks))
    settings = SearchConfig(
        architectures=str(folder / "list.txt"),
        run_dir=str(folder / "run"),
        batch_size=16,
        wandb=WandbConfig("disabled"),
    )
    assert run_search(settings) == 0
    return folder / "run"


def test_all_of_an_explicit_list_and_several_seeds(listed):
    picks = plan_training(TrainConfig(run_dir=str(listed), picks="all", seeds="5,6")).picks
    ranks = [(pick.settings.rank, pick.settings.seed) for pick in picks]
    statuses = {row["rank"]: row["status"] for row in json.loads((listed / "ranking.json").read_text())}
    assert [seed for _, seed in ranks] == [5, 6] * 3
    assert "degenerate" in [statuses[rank] for rank, _ in ranks]
    assert len({pick.settings.digest() for pick in picks}) == len({pick.name for pick in picks}) == 6
    assert all(pick.name.endswith(f"-seed{pick.settings.seed}") for pick in picks)


def test_a_pick_has_every_value_of_its_recipe(listed):
    (pick,) = plan_training(TrainConfig(run_dir=str(listed), picks=1, recipe="nasbench101-108", lr=0.3)).picks
    plain = pick.settings.to_plain()
    assert {name: plain[name] for name in ("recipe", "epochs", "optimizer", "lr", "weight_decay", "drop_path")} == {
        "recipe": "nasbench101-108", "epochs": 108, "optimizer": "rmsprop", "lr": 0.3, "weight_decay": 1e-4,
        "drop_path": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"picks": "1", "architecture": "x"}, "--picks 1: it chooses from a ranking"),
        ({"picks": "1", "devices": 3, "batch_size": 256}, "--devices 3: a mini-batch of 256 cannot be shared out"),
        ({"picks": "1", "drop_path": 0.1}, "--drop_path 0.1: the networks of this space have no such part"),
        ({"picks": "1", "space": "nds_darts"}, "--space nds_darts: the ranking of"),
    ],
)
def test_settings_that_do_not_fit(listed, options, message):
    with pytest.raises(UserError, match=message):
        plan_training(TrainConfig(run_dir=str(listed), **options))


def test_a_plan_writes_nothing_not_even_for_a_wrong_architecture(tmp_path):
    for options in ({"architecture": "nonsense", "space": "nasbench201"}, {}):
        with pytest.raises(ValueError, match=r"nonsense|no run in"):
            run_training(TrainConfig(run_dir=str(tmp_path / "run"), **options))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"picks": "9"}, "no rank 9"),
        ({"picks": "first"}, "expected all, or ranks"),
        ({"picks": "1", "space": "nasbench202"}, "nasbench201"),
        ({"picks": "1", "space": "nds_darts"}, "the ranking of"),
        ({"picks": "1", "recipe": "nds-10"}, "did you mean 'nds-100'"),
        ({"picks": "1", "dataset": "cifar11"}, "did you mean 'cifar10'"),
        ({"picks": "1", "trainer": {"max_step": 3}}, "did you mean 'max_steps'"),
        ({"top": 9}, "--top 9"),
        ({"architecture": "nonsense"}, "nonsense"),
    ],
)
def test_bad_input_leaves_the_folder_of_a_search_as_it_was(listed, options, message):
    before = {path: path.read_bytes() for path in listed.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=message):
        run_training(TrainConfig(run_dir=str(listed), **options))
    assert {path: path.read_bytes() for path in listed.rglob("*") if path.is_file()} == before
    assert not (listed / "picks").exists()


def test_a_run_id_is_not_written_without_the_lock(listed, tmp_path):
    run = shutil.copytree(listed, tmp_path / "run")
    (run / ".run_id").unlink(missing_ok=True)
    with lock_folder(run), pytest.raises(UserError, match="in use by another process"):
        run_training(TrainConfig(run_dir=str(run), picks="1"))
    assert not (run / ".run_id").exists()


def test_images_that_have_changed_since_the_search_or_since_the_cut_are_one_line(listed, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(listed, run, ignore=shutil.ignore_patterns("wandb"))
    config = TrainConfig(run_dir=str(run), picks="1", wandb=WandbConfig("disabled"))
    (pick,) = plan_training(config).picks
    prepare_pick(run, pick.settings, replace(RUN, name=pick.name), overwrite=False, images="0123456789abcdef")
    with pytest.raises(UserError, match=r"images_fingerprint was '0123456789abcdef', now '.*use --overwrite"):
        run_training(config)
    saved = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**saved, "seed": 5}))  # other images than the scores are of
    with pytest.raises(UserError, match=r"digits are not those of the search .*use --overwrite to train on these"):
        run_training(config)


RUN = PickRun("disabled", "project", "group", "id", "1-0")


def test_a_step_is_halved_once_and_stays_so(listed, tmp_path):
    (pick,) = plan_training(TrainConfig(run_dir=str(listed), picks="1", batch_size=24, devices=2)).picks
    settings = pick.settings
    folder = prepare_pick(tmp_path, settings, RUN, overwrite=False)
    written = (folder / "config.yaml").read_bytes()
    assert read_pick(folder).half() == 6
    write_retry(folder, 2)
    assert read_pick(folder).half() is None
    assert (folder / "config.yaml").read_bytes() == written
    assert prepare_pick(tmp_path, settings, RUN, overwrite=False) == folder  # run again
    assert read_pick(folder).accumulate == 2
    smaller = replace(settings, values=replace(settings.values, batch_size=8))
    with pytest.raises(UserError, match=r"batch_size was 24, now 8"):
        prepare_pick(tmp_path, smaller, RUN, overwrite=False)
    odd = replace(settings, values=replace(settings.values, batch_size=6))
    prepare_pick(tmp_path, odd, RUN, overwrite=True)
    assert read_pick(folder).accumulate == 1
    assert read_pick(folder).half() is None  # of 3 images a device


@pytest.mark.parametrize("content", ["", "rank: [", "rank: 1\n", "\xff\xfe"])
def test_damaged_settings_of_a_pick_are_one_line(listed, tmp_path, content):
    (pick,) = plan_training(TrainConfig(run_dir=str(listed), picks="1")).picks
    folder = prepare_pick(tmp_path, pick.settings, RUN, overwrite=False)
    (folder / "config.yaml").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"settings of .* are damaged .*: remove the folder"):
        read_pick(folder)
