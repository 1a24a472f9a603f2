"""From the settings of the command to picks; whatever is refused leaves no trace."""

import json
import shutil
from dataclasses import asdict, replace

import pandas as pd
import pytest
import yaml

from naswot_lightning.analysis.results import read_selections
from naswot_lightning.cli.search import run_search
from naswot_lightning.cli.train import run_training
from naswot_lightning.config import SearchConfig, TrainConfig, WandbConfig
from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import lock_folder
from naswot_lightning.training.plan import choose_controls, choose_picks, named_picks, plan_training, selection_of
from naswot_lightning.training.settings import PickRun, prepare_pick, read_pick, write_retry
from tests.commands.ends import contents, refused
from tests.training.runs import SMALL

UNITS = "steps", "epochs"
STATUSES = ("ok", "ok", "ok", "degenerate", "failed")
RUN = PickRun("disabled", "project", "group", "id", "1-0")


def test_named_picks_each_network_once_also_without_a_score():
    ranking = pd.DataFrame({"rank": range(1, 6), "canonical": list("abbcd"), "status": STATUSES})
    for text, expected in (
        ("all", [1, 2, 4]), ("1", [1]), ("4,1", [1, 4]), ("1-3", [1, 2]), ("2, 3-4", [2, 4]), ("3", [3]),
    ):  # fmt: skip
        assert named_picks(ranking, text)["rank"].tolist() == expected
    for text, message in (
        ("6", "the ranking has no rank 6; its ranks are 1 to 5"),
        ("0", "no rank 0"),
        ("5", "rank 5 failed when it was scored"),
        ("best", "expected all, or ranks such as 1,5,10-12"),
        ("1,,2", "expected all, or ranks"),
        ("1-4,6-99999999", "no rank 6"),
    ):
        with pytest.raises(UserError, match=message):
            named_picks(ranking, text)


def test_choose_picks_top_or_spread_over_different_networks():
    rows = pd.DataFrame({"canonical": list("aabcddefghijz"), "status": ["ok"] * 12 + ["degenerate"]})
    for top, select, expected in (
        (3, "top", "abc"), (4, "spread", "adgj"), (2, "spread", "aj"), (1, "spread", "a"), (10, "spread", "abcdefghij"),
    ):  # fmt: skip
        assert "".join(choose_picks(rows, top, select)["canonical"]) == expected
    with pytest.raises(UserError, match="--top 11: the ranking has 10 different networks"):
        choose_picks(rows, 11, "spread")


def test_choose_picks_along_the_front():
    rows = pd.DataFrame({"rank": range(1, 11), "canonical": list("abcdedghij"), "status": "ok"})
    rows["pareto_rank"] = pd.array([1, 2, 1, 1, 3, 1, 2, 1, None, 1], dtype="Int64")
    assert choose_picks(rows, 3, "pareto")["rank"].tolist() == [1, 4, 10]
    assert selection_of(rows, choose_picks(rows, 3, "pareto")) == "pareto"
    with pytest.raises(UserError, match="--top 6: the front has 5 different networks"):
        choose_picks(rows, 6, "pareto")
    with pytest.raises(UserError, match="--select pareto: the ranking has no Pareto front; search with --objectives"):
        choose_picks(rows.drop(columns="pareto_rank"), 2, "pareto")


def test_controls_are_random_candidates_that_differ_from_the_picks_and_more_of_them_continue_fewer():
    rows = pd.DataFrame({"canonical": list("aabcddefghijzx"), "status": ["ok"] * 12 + ["degenerate", "failed"]})
    rows.insert(0, "rank", range(1, 15))
    picks = choose_picks(rows, 3)
    three, nine = (set(choose_controls(rows, picks, count, seed=0)["canonical"]) for count in (3, 8))
    assert three < nine == set("defghijz")
    assert choose_controls(rows, picks, 8, seed=0)["rank"].tolist() == [5, 7, 8, 9, 10, 11, 12, 13]
    assert any(set(choose_controls(rows, picks, 3, seed)["canonical"]) != three for seed in range(1, 5))
    with pytest.raises(UserError, match="--controls 9: the ranking has 8 networks besides the picks"):
        choose_controls(rows, picks, 9, seed=0)


def test_selection_is_told_by_the_ranks_however_they_were_asked_for():
    rows = pd.DataFrame({"rank": range(1, 10), "canonical": list("abcdefghi"), "status": "ok"})
    for text, expected in (
        ("1-3", "top"), ("1", "top"), ("1,5,9", "spread"), ("1,2,9", "named"), ("7", "named"), ("all", "all"),
    ):  # fmt: skip
        assert selection_of(rows, named_picks(rows, text)) == expected


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
    options = {"architectures": str(folder / "list.txt"), "run_dir": str(folder / "run"), "batch_size": 16}
    assert run_search(SearchConfig(**options, wandb=WandbConfig("disabled"))) == 0
    return folder / "run"


def pick_of(folder, **options):
    (pick,) = plan_training(TrainConfig(run_dir=str(folder), picks="1", **options)).picks
    return pick


def test_plan_training_all_of_a_list_with_several_seeds(listed):
    picks = plan_training(TrainConfig(run_dir=str(listed), picks="all", seeds="5,6")).picks
    ranks = [(pick.settings.rank, pick.settings.seed) for pick in picks]
    statuses = {row["rank"]: row["status"] for row in json.loads((listed / "ranking.json").read_text())}
    assert [seed for _, seed in ranks] == [5, 6] * 3
    assert "degenerate" in [statuses[rank] for rank, _ in ranks]
    assert len({pick.settings.digest() for pick in picks}) == len({pick.name for pick in picks}) == 6
    assert all(pick.name.endswith(f"-seed{pick.settings.seed}") for pick in picks)


def test_plan_training_names_controls_and_notes_how_a_pick_was_chosen(listed, tmp_path):
    picks = plan_training(TrainConfig(run_dir=str(listed), top=1, controls=1, seeds="3,4")).picks
    assert [(pick.name.split("-")[0], pick.selection) for pick in picks] == [("1", "top")] * 2 + [
        ("control", "control")
    ] * 2
    assert picks[2].name.startswith("control-2-")
    for selection, expected in (("top", ("top",)), ("spread", ("top", "spread")), ("top", ("top", "spread"))):
        folder = prepare_pick(tmp_path, picks[0].settings, RUN, False, None, selection)
        assert read_selections(folder) == expected


def test_run_training_with_bad_input_leaves_the_folder_of_a_search_as_it_was(listed):
    before = contents(listed)
    for options, message in (
        ({"picks": "9"}, "no rank 9"),
        ({"picks": "1", "architecture": "x"}, "--picks 1: chooses from a ranking"),
        ({"picks": "1", "devices": 3, "batch_size": 256}, "--devices 3: a batch of 256 images cannot be divided"),
        ({"picks": "1", "drop_path": 0.1}, "--drop_path 0.1: only networks of the cell spaces nds_"),
        ({"picks": "1", "space": "nds_darts"}, "--space nds_darts: the ranking in"),
        ({"picks": "1", "recipe": "nds-10"}, "did you mean 'nds-100'"),
        ({"picks": "1", "trainer": {"max_step": 3}}, "did you mean 'max_steps'"),
        ({"picks": "1", "trainer": {"val_check_interval": "often"}}, "--trainer.val_check_interval often: "),
        ({"picks": "1", "epochs": 1, "trainer": {"check_val_every_n_epoch": 2}}, "nothing would be validated in 1"),
        ({"architecture": "nonsense"}, "nonsense"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            run_training(TrainConfig(run_dir=str(listed), **options))
        assert "\n" not in str(error.value)
    assert contents(listed) == before


def test_command_with_bad_input_is_one_line_and_code_2_and_leaves_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ("--architecture", SMALL)
    for words, message in (
        ((*given, "--dataset", "imagefolder", "--data_dir", "absent"), "absent has no train/"),
        ((*given, "--dataset", "noise"), "noise has no labels to train on"),
        ((*given, "--epochs", "0"), "--epochs 0: expected at least 1"),
        ((*given, "--split_file", "absent.txt"), "absent.txt: digits has no such lists"),
        (("--picks", "all"), "no run in"),
        # What would cut a training unseen.
        *(((*given, f"--trainer.{name}_{unit}", "3"), "use --epochs") for name in ("max", "min") for unit in UNITS),
        ((*given, "--trainer.fast_dev_run", "true"), "--trainer.limit_train_batches"),
        ((*given, "--trainer.max_time", "00:00:06"), "days:hours:minutes:seconds"),
        ((*given, "--trainer.limit_train_batches", "0"), "at least one"),
        ((*given, "--trainer.limit_val_batches", "0.0"), "at least one"),
        ((*given, "--trainer.enable_checkpointing", "false"), "naswot train sets this itself"),
    ):
        assert message in refused(capsys, "train.py", "--run_dir", "run", *words)
        assert list(tmp_path.iterdir()) == []


def test_run_training_with_damaged_ranking_or_settings_is_one_line(tmp_path):
    saved = asdict(SearchConfig())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(saved))
    (tmp_path / "ranking.json").write_text('[{"rank": 1')
    with pytest.raises(UserError, match=r"ranking\.json is damaged"):
        run_training(TrainConfig(run_dir=str(tmp_path)))
    for name in ("space", "dataset", "data_dir", "seed", "batch_size"):
        left = {key: value for key, value in saved.items() if key != name}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(left))
        with pytest.raises(UserError, match=rf"config\.yaml is damaged \({name}: field required\)"):
            run_training(TrainConfig(run_dir=str(tmp_path)))
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "ranking.json"}


def test_run_training_in_a_locked_folder_or_with_changed_images_is_refused(listed, tmp_path):
    run = shutil.copytree(listed, tmp_path / "run", ignore=shutil.ignore_patterns("wandb", ".run_id"))
    config = TrainConfig(run_dir=str(run), picks="1", wandb=WandbConfig("disabled"))
    with lock_folder(run), pytest.raises(UserError, match="in use by another process"):
        run_training(config)
    assert not (run / ".run_id").exists()
    pick = pick_of(run)
    prepare_pick(run, pick.settings, replace(RUN, name=pick.name), overwrite=False, images="0123456789abcdef")
    with pytest.raises(UserError, match=r"images_fingerprint was '0123456789abcdef', now '.*use --overwrite"):
        run_training(config)
    saved = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**saved, "seed": 5}))  # other images than the scores are of
    with pytest.raises(UserError, match=r"digits differ from those of the search .*use --overwrite to train on these"):
        run_training(config)


def test_prepare_pick_keeps_a_halved_step_and_refuses_other_settings(listed, tmp_path):
    settings = pick_of(listed, batch_size=24, devices=2).settings
    folder = prepare_pick(tmp_path, settings, RUN, overwrite=False)
    written = (folder / "config.yaml").read_bytes()
    assert read_pick(folder).settings == settings
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
    assert read_pick(folder).half() is None  # of 3 images per device
    with pytest.raises(UserError, match="was not made by this run, so nothing is removed"):
        prepare_pick(tmp_path, settings, replace(RUN, id="other-1-0"), overwrite=True)
