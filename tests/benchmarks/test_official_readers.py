"""Every value of a converted table equals that of the benchmark's own reader."""

import bz2
import copy
import itertools
import pickle
from collections import Counter, OrderedDict

import nas_201_api
import nats_bench
import numpy as np
import pytest
import torch

from naswot_lightning.benchmarks import open_benchmark
from naswot_lightning.benchmarks.convert import convert
from naswot_lightning.spaces import get_space
from tests.conftest import shared_path

_TESTS = {"train": "train", "valid": "x-valid", "test": "x-test", "valtest": "ori-test"}
SPLITS = {  # from the reader's names to ours
    "cifar10": {"train": "train", "test": "ori-test"},
    "cifar10-valid": {"train": "train", "valid": "x-valid", "test": "ori-test"},
    **dict.fromkeys(("cifar100", "ImageNet16-120"), _TESTS),
}
RECIPES = {"nasbench201": ("12", "200"), "nats_size": ("01", "12", "90")}
FOLDERS = {"nasbench201": "NATS-tss-v1_0-3ffb9-simple", "nats_size": "NATS-sss-v1_0-50262-simple"}
DATASETS = tuple(SPLITS)


@pytest.fixture(scope="module", params=FOLDERS)
def pair(request, tmp_path_factory):
    """A converted table and the official reader of the same folder."""
    folder = shared_path("nats-bench-samples", FOLDERS[request.param])
    _, path = convert(folder, tmp_path_factory.mktemp("nats") / "table.npz")
    kind = {"nasbench201": "tss", "nats_size": "sss"}[request.param]
    return open_benchmark(path), nats_bench.create(str(folder), kind, fast_mode=True, verbose=False)


def indices(table):
    return [(table.number(architecture), architecture) for architecture in table.architectures]


def test_nats_accuracies_losses_and_seconds_equal_the_official_reader(pair):
    table, api = pair
    assert [number for number, _ in indices(table)] == [0, 11, 284]
    compared = Counter()
    for number, architecture in indices(table):
        assert api.arch(number) == architecture
        for dataset, recipe in itertools.product(DATASETS, RECIPES[table.space]):
            at = (architecture, dataset)
            seeds = list(table.accuracies(*at, "train", int(recipe)))
            api.get_more_info(number, dataset, hp=recipe)  # reads its file
            assert seeds == api.arch2infos_dict[number][recipe].get_dataset_seeds(dataset)
            for seed in (*seeds, None):
                info = api.get_more_info(number, dataset, hp=recipe, is_random=False if seed is None else seed)
                seconds = table.training_seconds(*at, int(recipe), seed)
                assert seconds == pytest.approx(info["train-all-time"], rel=1e-12)
                for name, split in SPLITS[dataset].items():
                    assert table.accuracy(*at, split, int(recipe), seed) == info[f"{name}-accuracy"]
                    assert table.loss(*at, split, int(recipe), seed) == pytest.approx(info[f"{name}-loss"], rel=1e-12)
                    compared[dataset, split] += 1
    assert len(compared) == 13


def test_nats_curves_and_costs_equal_the_official_reader(pair):
    table, api = pair
    for (number, architecture), dataset in itertools.product(indices(table), ("cifar10-valid", "cifar100")):
        for epoch in range(1, 13):
            for seed in table.accuracies(architecture, dataset, "x-valid", 12):
                info = api.get_more_info(number, dataset, iepoch=epoch - 1, hp="12", is_random=seed)
                found = table.accuracy_at(architecture, dataset, "x-valid", 12, epoch, seed)
                assert found == info["valid-accuracy"]
            cost = info["train-all-time"] + info["valid-per-time"]
            assert table.seconds_at(architecture, dataset, 12, epoch) == pytest.approx(cost, rel=1e-12)
        at_end = table.accuracy_at(architecture, dataset, "x-valid", 12, 12)
        assert at_end == table.accuracy(architecture, dataset, "x-valid", 12)


def test_nats_sizes_equal_the_official_reader(pair):
    table, api = pair
    for (number, architecture), dataset in itertools.product(indices(table), DATASETS):
        cost = api.get_cost_info(number, dataset, hp=RECIPES[table.space][-1])
        assert table.params(architecture, dataset) == round(cost["params"] * 1e6)
        assert table.macs(architecture, dataset) == round(cost["flops"] * 1e6)


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    path = shared_path("NAS-Bench-201-mini.pth")
    _, table = convert(path, tmp_path_factory.mktemp("mini") / "table.npz")
    content = torch.load(path, weights_only=True)
    return open_benchmark(table), nas_201_api.NASBench201API(content, verbose=False)


def test_nas_bench_201_accuracies_equal_the_official_reader(mini):
    table, api = mini
    assert list(get_space("nasbench201")) == [api[index] for index in range(len(api))]
    assert len(api.evaluated_indexes) == len(table.architectures) == 1500
    compared = 0
    for number, architecture in zip(api.evaluated_indexes, table.architectures, strict=True):
        assert (api.arch(number), number) == (architecture, table.number(architecture))
        for hp in ("12", "200"):
            for (dataset, seed), result in api.arch2infos_dict[number][hp].all_results.items():
                for name, accuracy in result.eval_acc1es.items():
                    split, _, epoch = name.partition("@")
                    assert int(epoch) == int(hp) - 1
                    assert table.accuracy(architecture, dataset, split, int(hp), seed) == accuracy
                    compared += 1
        metrics = api.arch2infos_dict[number]["200"].get_metrics("cifar100", "x-test", is_random=False)
        assert table.accuracy(architecture, "cifar100", "x-test") == metrics["accuracy"]
    assert sum(np.isfinite(column).sum() for column in table.columns.values()) == compared  # nothing else is there


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


def test_every_file_of_the_same_trainings_makes_the_same_table(recipes, tmp_path):
    folder = shared_path("nats-bench-samples", FOLDERS["nasbench201"])
    expected = open_benchmark(convert(folder, tmp_path / "folder.npz")[1])
    shared = copy.deepcopy(recipes)
    share(shared)
    write_one_file(tmp_path / "one.pickle.pbz2", copy.deepcopy(recipes))
    write_pth(tmp_path / "legacy.pth", copy.deepcopy(recipes), legacy=True)
    write_pth(tmp_path / "shared.pth", shared)
    for name in ("one.pickle.pbz2", "legacy.pth", "shared.pth"):
        table = open_benchmark(convert(tmp_path / name, tmp_path / f"{name}.npz")[1])
        assert list(table.architectures) == list(expected.architectures)
        assert list(table.columns) == list(expected.columns)
        for key in table.columns:
            assert np.array_equal(table.columns[key], expected.columns[key], equal_nan=True), (name, key)
