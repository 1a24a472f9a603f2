import json

import numpy as np
import pytest

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig, WandbConfig
from naswot_lightning.errors import UserError
from naswot_lightning.reproduce.score_table import merits_by_score, score_table, scores_folder
from naswot_lightning.reproduce.settings import Scoring
from tests.reproduce.invented import architectures

DISCONNECTED = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


def settings(out, **more):
    return Scoring(benchmark=["none.csv"], dataset=["digits"], batch_size=8, workers=1, out=str(out), **more)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


def test_scores_are_those_of_a_search(out, tmp_path):
    chosen = [*architectures(5), DISCONNECTED]
    found = score_table(settings(out), "nasbench201", "digits", chosen)
    assert found.fresh == 6
    (tmp_path / "list").write_text("\n".join(chosen))
    config = SearchConfig(
        architectures=str(tmp_path / "list"), batch_size=8, workers=1, run_dir=str(tmp_path / "run"),
        wandb=WandbConfig("disabled"),
    )  # fmt: skip
    run_search(config)
    rows = {row["architecture"]: row for row in json.loads((tmp_path / "run" / "ranking.json").read_text())}
    for architecture, merit, params in zip(chosen, found.merits(chosen), found.sizes("params", chosen), strict=True):
        row = rows[architecture]
        assert (row["score"] is None and np.isnan(merit)) or row["score"] == merit
        assert row["params"] == params
    assert np.isnan(found.merits(chosen)[-1])
    assert (found.seconds(chosen) > 0).all()


def test_what_is_scored_is_not_scored_again(out):
    again = score_table(settings(out), "nasbench201", "digits", architectures(5))
    assert again.fresh == 0
    more = score_table(settings(out), "nasbench201", "digits", architectures(7))
    assert more.fresh == 2
    assert np.array_equal(more.merits(architectures(5)), again.merits(architectures(5)), equal_nan=True)
    merits = merits_by_score(settings(out), "nasbench201", "digits", architectures(7), ["naswot", "macs"])
    assert np.array_equal(merits["naswot"], more.merits(architectures(7)), equal_nan=True)
    assert np.array_equal(merits["macs"], more.sizes("macs", architectures(7)))


@pytest.mark.parametrize("change", [{"seed": 1}, {"canonical": False}])
def test_other_settings_are_refused_and_named(out, change):
    before = (scores_folder(out, "nasbench201", "digits", "naswot") / "scores.jsonl").read_bytes()
    (name,) = change
    with pytest.raises(UserError, match=rf"other settings: .*{name} was .*--out.*--overwrite"):
        score_table(settings(out, **change), "nasbench201", "digits", architectures(2))
    assert (scores_folder(out, "nasbench201", "digits", "naswot") / "scores.jsonl").read_bytes() == before


def test_overwrite_scores_anew(tmp_path):
    first = score_table(settings(tmp_path), "nasbench201", "digits", architectures(2))
    again = score_table(settings(tmp_path, seed=1, overwrite=True), "nasbench201", "digits", architectures(2))
    assert again.fresh == 2
    assert not np.array_equal(first.merits(architectures(2)), again.merits(architectures(2)))


def test_equal_networks_cost_what_the_one_that_was_scored_did(tmp_path):
    dead = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
    live = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
    found = score_table(settings(tmp_path), "nasbench201", "digits", [dead, live])
    assert found.merits([dead]) == found.merits([live])
    assert found.seconds([dead]) == found.seconds([live]) > 0
