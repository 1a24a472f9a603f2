import csv

import pytest

from naswot_lightning.analysis.statistics import kendall_tau
from naswot_lightning.cli.parser import parse
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import as_dicts, read_ranking
from naswot_lightning.searching.plan import plan_search
from tests.archives import write_cifar100, write_lists
from tests.conftest import run_script
from tests.searching.runs import QUICK, rows_of


def test_lists_do_not_decide_a_search(tmp_path, monkeypatch):
    write_cifar100(tmp_path, monkeypatch)
    path = write_lists(tmp_path / "split.txt", range(50), range(50, 100))
    shared = {"dataset": "cifar100", "data_dir": str(tmp_path), **QUICK}
    without, with_lists = (plan_search(SearchConfig(split_file=file, **shared)) for file in (None, str(path)))
    assert with_lists.settings["split_file"] != without.settings["split_file"]
    assert with_lists.identity == without.identity
    assert with_lists.evaluator.fingerprint == without.evaluator.fingerprint


def test_an_algorithm_that_learns_from_scores_wants_one_that_stays(tmp_path):
    for algorithm, evaluator in (("rea", "scores"), ("reinforce", "scores"), ("area", "train"), ("halving", "train")):
        shared = {"algorithm": algorithm, "evaluator": evaluator, "samples": 4, "batch_size": 8}
        for score in ("jacob_cov+params", "robust,naswot"):
            with pytest.raises(UserError, match=f"ranks by several scores change.*--algorithm {algorithm} learns"):
                plan_search(SearchConfig(score=score, **shared))
        assert plan_search(SearchConfig(score="naswot,robust", **shared)).criteria
    plan_search(SearchConfig(algorithm="rea", evaluator="train", score="robust", samples=4, batch_size=8))
    with pytest.raises(UserError, match="did you mean 'jacob_cov'"):
        run_search(SearchConfig(run_dir=str(tmp_path / "run"), score="jacob_cv+params", **QUICK))
    assert not (tmp_path / "run").exists()


def test_rows_and_ranking_follow_the_contract(tmp_path, capsys):
    run = tmp_path / "run"
    assert run_search(SearchConfig(run_dir=str(run), **QUICK)) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Kendall tau between naswot and model size: parameters" in printed
    assert "model size ranks it as well as naswot does, --score diversity better than both." in printed
    expected = {
        "space", "architecture", "canonical", "score", "n_units", "params", "macs", "seed", "seconds", "status",
        "reason",
    }  # fmt: skip
    assert all(expected <= set(row) for row in rows_of(run))
    ranking = list(as_dicts(read_ranking(run)))
    assert [row["rank"] for row in ranking] == [1, 2, 3, 4, 5, 6]
    scores = [row["score"] for row in ranking if row["score"] is not None]
    assert scores == sorted(scores, reverse=True)
    with open(run / "ranking.csv") as file:
        table = list(csv.DictReader(file))
    assert [row["architecture"] for row in table] == [row["architecture"] for row in ranking]
    assert [int(row["params"]) for row in table] == [row["params"] for row in ranking]
    hangs = plan_search(SearchConfig(run_dir=str(run), workers=2, timeout=9.0, **QUICK)).executor
    assert (hangs.count, hangs.timeout) == (2, 9.0)
    # The saved settings can be given again, with the kind of device that "auto" was.
    saved = parse(SearchConfig, ["--config", str(run / "config.yaml")], "naswot search")
    assert saved == SearchConfig(run_dir=str(run), device="cpu", **QUICK)


@pytest.mark.slow
def test_kendall_tau_on_real_images_is_that_of_the_paper(shared, tmp_path):
    """300 architectures with published accuracy, 128 real CIFAR-10 images; the paper reports 0.574."""
    table = list(csv.DictReader(shared("nasbench201-accuracies-1500.csv").open()))[:300]
    (tmp_path / "list.txt").write_text("\n".join(row["arch"] for row in table))
    result = run_script(
        "search.py", "--architectures", tmp_path / "list.txt", "--dataset", "imagefolder", "--canonical", "false",
        "--data_dir", shared("cifar10-images"), "--run_dir", tmp_path / "run", "--wandb.mode", "disabled",
        timeout=1_200,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    accuracy = {row["arch"]: float(row["cifar10_oritest_200"]) for row in table}
    scored = [row for row in as_dicts(read_ranking(tmp_path / "run")) if row["status"] == "ok"]
    tau = kendall_tau([row["score"] for row in scored], [accuracy[row["architecture"]] for row in scored])
    assert 0.50 <= tau <= 0.65
