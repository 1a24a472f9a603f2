"""Table 2 (a) on 1,500 real architectures as if they were the space, beside the numbers of the paper."""

import csv

import numpy as np
import pytest

from naswot_lightning.benchmarks.convert import convert
from naswot_lightning.cli.reproduce import main
from tests.conftest import shared_path
from tests.runs import read_csv as rows_of

_COLUMNS = {"C10 val": "cifar10_valid_xvalid_200", "C10 test": "cifar10_oritest_200", "C100 test": "cifar100_xtest_200"}
_TOLERANCES = {
    "NASWOT, N = 10": 0.3, "NASWOT, N = 100": 0.3, "NASWOT, N = 1000": 0.3, "Optimal, N = 10": 0.15,
    "Optimal, N = 100": 0.15, "REA": 0.4, "RS": 0.4, "REINFORCE": 0.4, "AREA": 0.4,
}  # fmt: skip


@pytest.mark.slow
def test_picks_are_near_the_published_ones_and_random_ones_have_the_means_of_the_1500(tmp_path):
    convert(shared_path("NAS-Bench-201-mini.pth"), tmp_path / "mini.npz")
    images = ["--dataset", "imagefolder", "--data_dir", str(shared_path("cifar10-images"))]
    words = ["--benchmark", str(tmp_path / "mini.npz"), "--out", str(tmp_path / "out"), "--evaluations", "100", *images]
    assert main(["table2", *words]) == 0
    found = {(row["row"], row["column"]): row for row in rows_of(tmp_path / "out" / "table2a.csv")}
    for label, tolerance in _TOLERANCES.items():
        row = found[label, "C10 val"]
        assert float(row["mean"]) == pytest.approx(float(row["published_mean"]), abs=tolerance)
    with open(shared_path("nasbench201-accuracies-1500.csv"), newline="") as file:
        accuracies = list(csv.DictReader(file))
    for column, name in _COLUMNS.items():
        values = np.sort([float(row[name]) for row in accuracies])
        share = np.arange(len(values) + 1) / len(values)
        for label, samples in (("Random", 1), ("Optimal, N = 10", 10), ("Optimal, N = 100", 100)):
            row = found[label, column]
            expected = (values * np.diff(share**samples)).sum()  # of a maximum of draws with replacement
            assert float(row["mean"]) == pytest.approx(expected, abs=4 * float(row["std"]) / np.sqrt(500))
        rows = [found[f"NASWOT, N = {samples}", column] for samples in (10, 100, 1000)]
        assert sorted(rows, key=lambda row: float(row["mean"])) == rows  # a larger sample is better, and varies less
        assert float(rows[2]["std"]) < float(rows[0]["std"])
