import json
import random
import statistics
from dataclasses import replace

import pytest

from naswot_lightning.analysis.results import comparable, read_results
from naswot_lightning.errors import UserError
from tests.runs import result, training_result, write_pick


def test_results_are_read_best_rank_first_then_by_seed(tmp_path):
    for number in (3, 1):
        for seed in (1000, 777):
            write_pick(tmp_path, result(number, seed=seed), name=f"{number}-x-seed{seed}")
    write_pick(tmp_path, result(9, rank=None))
    assert [each.pick for each in read_results(tmp_path)] == [
        "1-x-seed777", "1-x-seed1000", "3-x-seed777", "3-x-seed1000", "given-c9",
    ]  # fmt: skip


def test_a_damaged_result_is_one_line_that_names_the_file(tmp_path):
    write_pick(tmp_path, result(1))
    path = write_pick(tmp_path, result(2)) / "result.json"
    for content in (
        '{"rank": 1', "[]", "null", "", "\xff", "{}",
        json.dumps(result(1, test_acc="0.9")), json.dumps(result(1, test_acc=float("nan"))),
        json.dumps(result(1, score_init=float("inf"))), json.dumps(result(1, seed=None)),
        json.dumps(result(1, rank=[1])), json.dumps({k: v for k, v in result(1).items() if k != "macs"}),
    ):  # fmt: skip
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(UserError, match="is not a valid JSON object of a trained pick") as error:
            read_results(tmp_path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)


def test_means_and_deviations_over_seeds_are_of_the_finished():
    accuracies = {777: 0.90, 888: 0.93, 999: None, 1000: 0.91}
    results = [
        training_result(1, f"1-x-seed{seed}", seed=seed, test_acc=acc, status="diverged" if acc is None else "ok")
        for seed, acc in accuracies.items()
    ]
    (group,) = comparable(results)
    (network,) = group.networks
    values = [0.90, 0.93, 0.91]
    assert network.mean("test_acc") == pytest.approx(sum(values) / 3)
    assert network.deviation("test_acc") == pytest.approx(statistics.stdev(values))
    assert (len(network.results), len(network.finished), network.usable) == (4, 3, True)
    assert network.name == "1-x"
    assert group.seeds == [777, 888, 999, 1000]
    assert "n = 1 network, 3 epochs, seeds 777, 888, 999, 1000" in group.title(1)


def test_a_title_of_picks_and_controls_counts_each():
    chosen = ("top", "top", "control")
    (group,) = comparable([training_result(rank, selections=(name,)) for rank, name in enumerate(chosen, start=1)])
    assert "n = 3 networks (the top of the ranking: 2, random candidates: 1), " in group.title(3)
    assert "n = 2 networks (the top of the ranking), " in group.title(2, "top")


def test_one_seed_has_no_deviation_and_a_failed_network_no_mean():
    failed = {"status": "diverged", "test_acc": None, "best_val_acc": None, "score_final": None}
    (group,) = comparable([training_result(1), training_result(2, **failed)])
    one, none = group.networks
    assert (one.deviation("test_acc"), none.mean("test_acc"), none.mean("score_init")) == (None, None, None)
    assert [network.rank for network in group.usable] == [1]


def test_a_seed_trained_twice_counts_once():
    (group,) = comparable([training_result(1, "b"), training_result(1, "a", rank=None)])
    (network,) = group.networks
    assert [each.pick for each in network.results] == ["a"]


def test_only_comparable_results_are_put_together():
    for other in (
        {"dataset": "cifar10"},
        {"epochs": 4},
        {"test_set": "x-test"},
        {"recipe": "s"},
        {"space": "nats_size"},
    ):
        results = [training_result(number, **other) for number in (1, 2)] + [training_result(n) for n in (1, 2, 3)]
        groups = comparable(results)
        assert [len(group.networks) for group in groups] == [3, 2]
        assert groups[1].settings == replace(groups[0].settings, **other)


def test_the_largest_group_is_that_with_most_usable_networks_in_any_order():
    failed = [training_result(number, epochs=9, status="diverged", test_acc=None) for number in range(1, 6)]
    results = [*failed, training_result(1), training_result(2)]
    expected = comparable(results)
    assert [group.settings.epochs for group in expected] == [3, 9]
    for seed in range(5):
        random.Random(seed).shuffle(results)
        assert comparable(results) == expected


def test_a_result_is_read_as_it_was_written(tmp_path):
    written = training_result(3, "3-c3", recipe="nds-100", accumulate=2, versions={"torch": "2.14"}, reason="why")
    folder = tmp_path / "picks" / "3-c3"
    folder.mkdir(parents=True)
    written.write(folder)
    assert read_results(tmp_path) == [written]
    assert "pick" not in json.loads((folder / "result.json").read_text())


def test_networks_of_each_selection_are_a_sample_of_their_own(tmp_path):
    for number in range(1, 8):
        folder = write_pick(tmp_path, result(number))
        chosen = {1: "top,spread", 2: "top", 7: ""}.get(number, "spread")
        (folder / "config.yaml").write_text(f"seed: 0\nselections: {chosen or repr('')}\nspace: nasbench201\n")
    write_pick(tmp_path, result(2, control=True), name="control-2-c2")
    (tmp_path / "picks" / "control-2-c2" / "config.yaml").write_text("selections: control\n")
    (group,) = comparable(read_results(tmp_path))
    samples = {name: [network.canonical for network in own] for name, own in group.samples.items()}
    assert samples == {
        "spread": ["c1", "c3", "c4", "c5", "c6"], "top": ["c1", "c2"], None: ["c7"], "control": ["c2"],
    }  # fmt: skip
    assert list(samples)[:2] == ["spread", "top"]
    (tmp_path / "picks" / "2-c2" / "config.yaml").write_text("selections: rm -rf\n")
    assert [each.selections for each in read_results(tmp_path) if each.pick == "2-c2"] == [()]
