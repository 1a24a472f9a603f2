"""Every figure of a converted table equals that of the benchmark's own reader."""

import bz2
import copy
import pickle
import zipfile
from collections import OrderedDict

import nas_201_api
import nats_bench
import numpy as np
import pytest
import torch

from naswot_lightning.benchmarks import open_benchmark
from naswot_lightning.benchmarks.convert import convert
from naswot_lightning.benchmarks.trials import Trial, load_condensed
from tests.conftest import shared_path

SPLITS = {"valid": "x-valid", "test": "x-test", "valtest": "ori-test"}
RECIPES = {"nasbench201": ("12", "200"), "nats_size": ("01", "12", "90")}
FOLDERS = {"nasbench201": "NATS-tss-v1_0-3ffb9-simple", "nats_size": "NATS-sss-v1_0-50262-simple"}
DATASETS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")


def split_of(name, dataset):
    return "ori-test" if name == "test" and dataset.startswith("cifar10") and dataset != "cifar100" else SPLITS[name]


@pytest.fixture(scope="module", params=FOLDERS)
def pair(request, tmp_path_factory):
    """A converted table and the official reader of the same folder."""
    folder = shared_path("nats-bench-samples", FOLDERS[request.param])
    _, path = convert(folder, tmp_path_factory.mktemp("nats") / "table.npz")
    kind = {"nasbench201": "tss", "nats_size": "sss"}[request.param]
    return open_benchmark(path), nats_bench.create(str(folder), kind, fast_mode=True, verbose=False)


def indices(table):
    return [(table.number(architecture), architecture) for architecture in table.architectures]


def test_names_are_those_of_the_space(pair):
    table, api = pair
    assert [number for number, _ in indices(table)] == [0, 11, 284]
    assert [api.arch(number) for number, _ in indices(table)] == list(table.architectures)


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_accuracy_and_loss_of_nats_bench(pair, dataset):
    table, api = pair
    for number, architecture in indices(table):
        for recipe in RECIPES[table.space]:
            seeds = [*table.accuracies(architecture, dataset, "train", int(recipe)), None]
            assert seeds[:-1] == known_seeds(api, number, recipe, dataset)
            for seed in seeds:
                info = api.get_more_info(number, dataset, hp=recipe, is_random=False if seed is None else seed)
                compare(table, architecture, dataset, int(recipe), seed, info)


def known_seeds(api, number, recipe, dataset):
    api.get_more_info(number, dataset, hp=recipe)  # reads its file
    return api.arch2infos_dict[number][recipe].get_dataset_seeds(dataset)


def compare(table, architecture, dataset, epochs, seed, info):
    at = (architecture, dataset)
    assert table.accuracy(*at, "train", epochs, seed) == info["train-accuracy"]
    assert table.loss(*at, "train", epochs, seed) == pytest.approx(info["train-loss"], rel=1e-7)
    assert table.training_seconds(*at, epochs, seed) == pytest.approx(info["train-all-time"], rel=1e-12)
    compared = 0
    for name in ("valid", "test", "valtest"):
        split = split_of(name, dataset)
        if f"{name}-accuracy" in info:
            assert table.accuracy(*at, split, epochs, seed) == info[f"{name}-accuracy"]
            assert table.loss(*at, split, epochs, seed) == pytest.approx(info[f"{name}-loss"], rel=1e-7)
            compared += 1
    assert compared == {"cifar10": 1, "cifar10-valid": 2}.get(dataset, 3)


@pytest.mark.parametrize("dataset", ["cifar10-valid", "cifar100", "ImageNet16-120"])
def test_curves_and_costs_of_a_part_of_the_epochs(pair, dataset):
    table, api = pair
    for number, architecture in indices(table):
        seeds = list(table.accuracies(architecture, dataset, "x-valid", 12))
        for epoch in range(1, 13):
            for seed in seeds:
                info = api.get_more_info(number, dataset, iepoch=epoch - 1, hp="12", is_random=seed)
                found = table.accuracy_at(architecture, dataset, "x-valid", 12, epoch, seed)
                assert found == info["valid-accuracy"]
            cost = info["train-all-time"] + info["valid-per-time"]
            assert table.seconds_at(architecture, dataset, 12, epoch) == pytest.approx(cost, rel=1e-12)
        mean = table.curve(architecture, dataset, "x-valid", 12)
        assert list(mean) == list(range(1, 13))
        assert mean[12] == table.accuracy(architecture, dataset, "x-valid", 12)


def test_seconds_are_what_a_simulated_training_costs(pair):
    table, api = pair
    for number, architecture in indices(table):
        for recipe in RECIPES[table.space]:
            for dataset, ours in {"cifar10": "cifar10-valid", "cifar100": "cifar100"}.items():
                accuracy, _, cost, _ = api.simulate_train_eval(number, dataset, hp=recipe)
                assert table.seconds(architecture, ours, int(recipe)) == pytest.approx(cost, rel=1e-12)
                assert accuracy in table.accuracies(architecture, ours, "x-valid", int(recipe)).values()


def test_sizes(pair):
    table, api = pair
    for number, architecture in indices(table):
        for dataset in DATASETS:
            cost = api.get_cost_info(number, dataset, hp=RECIPES[table.space][-1])
            assert table.params(architecture, dataset) == round(cost["params"] * 1e6)
            assert table.macs(architecture, dataset) == round(cost["flops"] * 1e6)


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    path = shared_path("NAS-Bench-201-mini.pth")
    _, table = convert(path, tmp_path_factory.mktemp("mini") / "table.npz")
    content = torch.load(path, weights_only=True)
    return open_benchmark(table), nas_201_api.NASBench201API(content, verbose=False)


def test_every_figure_of_nas_201_api(mini):
    table, api = mini
    numbers = api.evaluated_indexes
    assert len(numbers) == len(table.architectures) == 1500
    compared = 0
    for number, architecture in zip(numbers, table.architectures, strict=True):
        assert api.arch(number) == architecture
        assert table.number(architecture) == number
        for hp, state in (("12", "12"), ("200", "200")):
            results = api.arch2infos_dict[number][state].all_results
            for (dataset, seed), result in results.items():
                for name, accuracy in result.eval_acc1es.items():
                    split, _, epoch = name.partition("@")
                    assert int(epoch) == int(hp) - 1
                    assert table.accuracy(architecture, dataset, split, int(hp), seed) == accuracy
                    compared += 1
    figures = sum(int((table.columns.load(key) == table.columns.load(key)).sum()) for key in table.columns.keys)
    assert figures == compared  # and nothing else is in the table


def test_mean_over_seeds_is_what_the_reader_returns(mini):
    table, api = mini
    for number in api.evaluated_indexes[:50]:
        metrics = api.arch2infos_dict[number]["200"].get_metrics("cifar100", "x-test", is_random=False)
        assert table.accuracy(api.arch(number), "cifar100", "x-test") == metrics["accuracy"]


@pytest.fixture(scope="module")
def recipes():
    """What the official files have of three architectures, by their indices."""
    folder = shared_path("nats-bench-samples", FOLDERS["nasbench201"])
    return {int(path.name[:6]): pickle.loads(bz2.open(path).read()) for path in sorted(folder.glob("0*.pbz2"))}


def names():
    folder = shared_path("nats-bench-samples", FOLDERS["nasbench201"])
    return pickle.loads(bz2.open(folder / "meta.pickle.pbz2").read())["meta_archs"]


def write_pth(path, recipes, legacy=False):
    infos = OrderedDict((number, {"less": state["12"], "full": state["200"]}) for number, state in recipes.items())
    for state in (state for states in infos.values() for state in states.values()):
        state["all_results"] = OrderedDict((key, OrderedDict(trial)) for key, trial in state["all_results"].items())
    content = {"meta_archs": names(), "arch2infos": infos, "evaluated_indexes": set(infos)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)


def write_one_file(path, recipes):
    content = {"meta_archs": names(), "arch2infos": recipes, "evaluated_indexes": set(recipes)}
    path.write_bytes(bz2.compress(pickle.dumps(content, 4)))


def share(recipes):
    """Let two trainings of each architecture have their times in common, as files may."""
    for states in recipes.values():
        trials = states["200"]["all_results"]
        trials["cifar10", 888]["train_times"] = trials["cifar10", 777]["train_times"]
        trials["cifar10", 888]["eval_times"] = trials["cifar10", 777]["eval_times"]


@pytest.mark.parametrize("kind", ["zip", "legacy", "shared", "one file"])
def test_all_formats_of_the_same_trainings_make_the_same_table(kind, recipes, tmp_path):
    folder = shared_path("nats-bench-samples", FOLDERS["nasbench201"])
    expected = open_benchmark(convert(folder, tmp_path / "folder.npz")[1])
    recipes = copy.deepcopy(recipes)
    path = tmp_path / ("one.pickle.pbz2" if kind == "one file" else "all.pth")
    if kind == "shared":
        share(recipes)
    if kind == "one file":
        write_one_file(path, recipes)
    else:
        write_pth(path, recipes, legacy=kind == "legacy")
    table = open_benchmark(convert(path, tmp_path / "table.npz")[1])
    assert list(table.architectures) == list(expected.architectures)
    assert table.columns.keys == expected.columns.keys
    for key in table.columns.keys:
        assert np.array_equal(table.columns.load(key), expected.columns.load(key), equal_nan=True), key


def test_a_training_is_let_go_of_when_it_is_read(recipes, tmp_path):
    write_pth(tmp_path / "all.pth", copy.deepcopy(recipes))
    with zipfile.ZipFile(tmp_path / "all.pth") as archive, archive.open("all/data.pkl") as file:
        content = load_condensed(file, tmp_path / "all.pth", "table")
    trials = [trial for info in content["arch2infos"].values() for trial in info["full"]["all_results"].values()]
    assert len(trials) == 36
    assert {type(trial) for trial in trials} == {Trial}
