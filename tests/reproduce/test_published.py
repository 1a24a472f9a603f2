"""What the paper says, number by number where it matters, and the form of all of it."""

from naswot_lightning.report.figures.bars import Spread
from naswot_lightning.reproduce.published import published_table, published_taus


def test_published_values_are_those_of_the_paper():
    for name, label, column, value in (
        ("table1", "NASWOT, N = 100", "CIFAR-10 test", Spread(91.77, 0.05)),
        ("table2a", "NASWOT, N = 10", "C10 test", Spread(92.44, 1.13)),
        ("table2a", "NASWOT, N = 100", "IN16 val", Spread(42.81, 3.05)),
        ("table2a", "NASWOT, N = 1000", "IN16 test", Spread(44.44, 2.10)),
        ("table2a", "Random", "C10 val", Spread(83.20, 13.28)),
        ("table2a", "AREA", "C100 val", Spread(71.95, 0.99)),
        ("table2a", "GDAS", "C10 test", Spread(93.51, 0.13)),
        ("table2b", "NASWOT, N = 10", "C10 test", Spread(88.66, 0.90)),
    ):
        (row,) = [row for row in published_table(name).rows if row.label == label]
        assert row.values[column] == value
        assert label != "AREA" or set(row.values) == {"C10 val", "C100 val", "IN16 val"}


def test_correlations_are_found_by_the_names_of_tables():
    taus = published_taus("figure3")
    assert taus.find("nasbench201", "cifar10-valid", "naswot") == 0.574
    assert taus.find("nasbench201", "ImageNet16-120", "naswot") == 0.549
    assert taus.find("nasbench101:stem_channels=16", "cifar10", "naswot") == 0.285
    assert taus.find("nasbench201", "cifar10", "params") is None
    assert published_taus("figure4").find("nds_enas", "cifar10", "grad_norm") == -0.02
    assert published_taus("figure9").taus == published_taus("figure10").taus == {}
