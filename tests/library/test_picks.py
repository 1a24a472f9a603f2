import json

import pytest
import yaml

from naswot_lightning.config import SearchConfig, TrainConfig, WandbConfig
from naswot_lightning.errors import UserError
from naswot_lightning.picks import halve_step, list_picks, prepare_pick
from naswot_lightning.ranking import named_picks
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.search import run_search

STATUSES = ("ok", "ok", "ok", "degenerate", "failed")


def ranking(networks="abbcd"):
    return [
        {"rank": rank, "architecture": f"{network}{rank}", "canonical": network, "status": status}
        for rank, (network, status) in enumerate(zip(networks, STATUSES, strict=True), start=1)
    ]


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
    assert [row["rank"] for row in named_picks(ranking(), text)] == expected


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
    picks = list_picks(TrainConfig(run_dir=str(listed), picks="all", seeds="5,6"), RunFolder(listed))
    ranks = [(pick["rank"], pick["seed"]) for pick in picks]
    statuses = {row["rank"]: row["status"] for row in json.loads((listed / "ranking.json").read_text())}
    assert [seed for _, seed in ranks] == [5, 6] * 3
    assert "degenerate" in [statuses[rank] for rank, _ in ranks]
    assert len({pick["wandb"]["id"] for pick in picks}) == len({pick["wandb"]["name"] for pick in picks}) == 6
    assert all(pick["wandb"]["name"].endswith(f"-seed{pick['seed']}") for pick in picks)


def test_a_pick_has_every_value_of_its_recipe(listed):
    (pick,) = list_picks(TrainConfig(run_dir=str(listed), picks=1, recipe="nasbench101-108", lr=0.3), RunFolder(listed))
    assert {name: pick[name] for name in ("recipe", "epochs", "optimizer", "lr", "weight_decay", "drop_path")} == {
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
        list_picks(TrainConfig(run_dir=str(listed), **options), RunFolder(listed))


def test_a_step_is_halved_once_and_stays_so(listed, tmp_path):
    (pick,) = list_picks(TrainConfig(run_dir=str(listed), picks="1", batch_size=24, devices=2), RunFolder(listed))
    folder = prepare_pick(tmp_path, pick, overwrite=False)
    assert halve_step(folder) == 6
    assert halve_step(folder) is None
    assert prepare_pick(tmp_path, pick, overwrite=False) == folder  # run again
    assert yaml.safe_load((folder / "config.yaml").read_text())["accumulate"] == 2
    with pytest.raises(UserError, match=r"batch_size was 24, now 8"):
        prepare_pick(tmp_path, {**pick, "batch_size": 8}, overwrite=False)
    prepare_pick(tmp_path, {**pick, "batch_size": 6}, overwrite=True)
    assert halve_step(folder) is None  # of 3 images a device
