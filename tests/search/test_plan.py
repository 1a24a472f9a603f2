import pytest

from naswot_lightning.config import SearchConfig, WandbConfig
from naswot_lightning.errors import UserError
from naswot_lightning.search.plan import plan_search
from tests.archives import write_cifar100, write_lists


def test_lists_do_not_decide_a_search(tmp_path, monkeypatch):
    write_cifar100(tmp_path, monkeypatch)
    path = write_lists(tmp_path / "split.txt", range(50), range(50, 100))
    shared = {"dataset": "cifar100", "data_dir": str(tmp_path), "batch_size": 8, "wandb": WandbConfig("disabled")}
    without, with_lists = (plan_search(SearchConfig(split_file=file, **shared)) for file in (None, str(path)))
    assert with_lists.settings["split_file"] != without.settings["split_file"]
    assert with_lists.identity == without.identity
    assert with_lists.evaluator.fingerprint == without.evaluator.fingerprint


@pytest.mark.parametrize(
    ("algorithm", "evaluator"), [("rea", "scores"), ("reinforce", "scores"), ("area", "train"), ("halving", "train")]
)
def test_an_algorithm_that_learns_wants_a_score_that_stays(algorithm, evaluator):
    shared = {"algorithm": algorithm, "evaluator": evaluator, "samples": 4, "batch_size": 8}
    for score in ("jacob_cov+params", "robust,naswot"):
        with pytest.raises(UserError, match=f"ranks by several scores change.*--algorithm {algorithm} learns"):
            plan_search(SearchConfig(score=score, **shared))
    assert plan_search(SearchConfig(score="naswot,robust", **shared)).criteria


def test_an_algorithm_that_learns_from_trainings_alone_takes_any_score():
    plan_search(SearchConfig(algorithm="rea", evaluator="train", score="robust", samples=4, batch_size=8))
