"""Table 2 (a) on 1,500 real architectures as if they were the space, beside the figures of the paper."""

import csv

import numpy as np
import pytest

from naswot_lightning.benchmarks.convert import convert
from naswot_lightning.cli.reproduce import main
from tests.conftest import shared_path
from tests.reproduce.tables import rows_of

_COLUMNS = {"C10 val": "cifar10_valid_xvalid_200", "C10 test": "cifar10_oritest_200", "C100 test": "cifar100_xtest_200"}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    convert(shared_path("NAS-Bench-201-mini.pth"), folder / "mini.npz")
    images = ["--dataset", "imagefolder", "--data_dir", str(shared_path("cifar10-images"))]
    words = ["--benchmark", str(folder / "mini.npz"), "--out", str(folder / "out"), "--evaluations", "100", *images]
    assert main(["table2", *words]) == 0
    return {(row["row"], row["column"]): row for row in rows_of(folder / "out" / "table2a.csv")}


@pytest.mark.slow
@pytest.mark.parametrize("column", _COLUMNS)
def test_random_and_optimal_have_the_means_of_the_1500(found, column):
    with open(shared_path("nasbench201-accuracies-1500.csv"), newline="") as file:
        values = np.sort([float(row[_COLUMNS[column]]) for row in csv.DictReader(file)])
    share = np.arange(len(values) + 1) / len(values)
    for label, samples in (("Random", 1), ("Optimal, N = 10", 10), ("Optimal, N = 100", 100)):
        row = found[label, column]
        expected = (values * np.diff(share**samples)).sum()  # of a maximum of draws with replacement
        assert float(row["mean"]) == pytest.approx(expected, abs=4 * float(row["std"]) / np.sqrt(500))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label", "tolerance"),
    [("NASWOT, N = 10", 0.3), ("NASWOT, N = 100", 0.3), ("NASWOT, N = 1000", 0.3), ("Optimal, N = 10", 0.15),
     ("Optimal, N = 100", 0.15), ("REA", 0.4), ("RS", 0.4), ("REINFORCE", 0.4), ("AREA", 0.4)],
)  # fmt: skip
def test_picks_are_near_the_published_ones(found, label, tolerance):
    row = found[label, "C10 val"]
    assert float(row["mean"]) == pytest.approx(float(row["published_mean"]), abs=tolerance)


@pytest.mark.slow
def test_a_larger_sample_is_better_and_varies_less(found):
    for column in _COLUMNS:
        rows = [found[f"NASWOT, N = {samples}", column] for samples in (10, 100, 1000)]
        assert sorted(rows, key=lambda row: float(row["mean"])) == rows
        assert float(rows[2]["std"]) < float(rows[0]["std"])
