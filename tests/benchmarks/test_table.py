"""Look-ups in a table, users' own tables, the accuracies that direct a search, and the space of what is known."""

import gzip
import pickle
import random
from collections import Counter

import numpy as np
import pytest

from naswot_lightning.benchmarks import AvailableAccuracy, open_benchmark
from naswot_lightning.benchmarks.convert import convert
from naswot_lightning.benchmarks.known_space import KnownSpace
from naswot_lightning.benchmarks.table import Key, Table, read_table, write_table
from naswot_lightning.benchmarks.targets import Target, reported_target, search_target
from naswot_lightning.errors import UserError
from naswot_lightning.spaces import EnumerableSpace, SpaceError
from naswot_lightning.spaces.nasbench201 import parse_cell
from tests.benchmarks.tables import FIRST, LONG, SECOND, converted, opened
from tests.searching.algorithms.tables import SPACE, SmallTable

AT = ("cifar10", "test")


@pytest.fixture(params=["csv", "npz"])
def table(request, tmp_path):
    return opened(tmp_path, LONG) if request.param == "csv" else open_benchmark(converted(tmp_path, LONG))


def test_the_default_is_the_longest_recipe_and_the_mean_over_its_trainings(table):
    assert table.accuracy(FIRST, *AT) == table.accuracy(FIRST, *AT, 200) == 94
    assert table.accuracy(FIRST, *AT, 12) == 91
    assert table.accuracy(FIRST, *AT, 12, seed=1) == 91.5
    assert table.accuracies(FIRST, *AT, 12) == {0: 90.5, 1: 91.5}
    assert table.loss(FIRST, *AT, 12) == 0.375
    assert table.loss(FIRST, *AT, 12, seed=0) == 0.25


def test_what_is_not_known_is_none(table):
    assert table.accuracy(SECOND, *AT) is None  # not that of a shorter recipe
    assert table.accuracy(SECOND, *AT, 12) == 10
    assert table.accuracies(SECOND, *AT) == {}
    for at in [("cifar10", "train"), ("cifar100", "test"), (*AT, 90), (*AT, 12, 5)]:
        assert table.accuracy(FIRST, *at) is None
    assert table.accuracy("other", *AT) is table.accuracy_at(FIRST, *AT, 12, 4) is table.loss(FIRST, *AT, 200) is None
    assert table.seconds(FIRST, "cifar10", 200) is table.macs(SECOND) is table.number(FIRST) is None
    assert "other" not in table


def test_costs_sizes_and_what_there_is(table):
    assert table.seconds(FIRST, "cifar10", 12) == table.training_seconds(FIRST, "cifar10", 12) == 61
    assert table.seconds_at(FIRST, "cifar10", 12, 3) == 61 / 4
    assert (table.params(FIRST), table.macs(FIRST), table.params(SECOND)) == (1000, 5000, 500)
    assert (table.name, table.space, list(table.architectures)) == ("mine", "nasbench201", [FIRST, SECOND])
    assert table.known == (
        AvailableAccuracy("cifar10", "test", 12, (0, 1)),
        AvailableAccuracy("cifar10", "test", 200, (0,)),
    )
    assert table.every_accuracy(*AT, 12).tolist() == [91, 10]
    assert np.isnan(table.every_accuracy(*AT, 12, seed=1)).tolist() == [False, True]
    copy = pickle.loads(pickle.dumps(table))  # as it is sent to a worker
    assert copy.accuracies(FIRST, *AT, 12) == {0: 90.5, 1: 91.5}


def test_wide_form_columns_name_data_set_split_and_epochs(tmp_path):
    columns = {
        "cifar10_valid_xvalid_200": ("cifar10-valid", "x-valid", 200),
        "cifar10_oritest_200": ("cifar10", "ori-test", 200),
        "cifar100_xtest_200": ("cifar100", "x-test", 200),
        "imagenet16_120_xvalid_12": ("ImageNet16-120", "x-valid", 12),
        "digits_test_3": ("digits", "test", 3),
    }
    for header, at in columns.items():
        table = opened(tmp_path, f"index,arch,{header},note\n7,{FIRST},50.5,x\n9,{SECOND},,\n")
        assert table.accuracy(FIRST, *at) == table.accuracy(FIRST, *at[:2]) == 50.5
        assert table.accuracy(SECOND, *at) is None
        assert (table.number(FIRST), table.number(SECOND)) == (7, 9)


def test_other_columns_of_numbers_are_kept_by_their_names(tmp_path):
    text = f"architecture,pixel3_ms,note\n{FIRST},3.5,x\n{SECOND},,y\n{FIRST},4.5,z\n"
    (tmp_path / "hw.csv.gz").write_bytes(gzip.compress(text.encode()))
    for table in (open_benchmark(tmp_path / "hw.csv.gz"), open_benchmark(convert(tmp_path / "hw.csv.gz")[1])):
        assert (table.name, table.known, table.further) == ("hw", (), ("pixel3_ms",))
        np.testing.assert_equal(table.column("pixel3_ms"), [4, np.nan])
        with pytest.raises(UserError, match=r"unknown column of hw 'pixel4_ms', .*; did you mean 'pixel3_ms'?"):
            table.column("pixel4_ms")
        with pytest.raises(UserError, match="hw has no accuracies, only the columns pixel3_ms"):
            reported_target(table, "cifar10")
    both = opened(tmp_path, f"architecture,dataset,accuracy,ms\n{FIRST},cifar10,90,5\n{FIRST},cifar100,60,6\n")
    assert both.accuracy(FIRST, "cifar100", "test") == 60
    assert both.column("ms", "cifar100").tolist() == [6]
    with pytest.raises(UserError, match="mine has ms on cifar10, cifar100; choose one with --benchmark_dataset"):
        both.column("ms")
    (tmp_path / "cut.csv.gz").write_bytes((tmp_path / "hw.csv.gz").read_bytes()[:-20])
    with pytest.raises(UserError, match=r"cut\.csv\.gz is not a UTF-8 CSV file"):
        open_benchmark(tmp_path / "cut.csv.gz")


def test_lines_of_one_architecture_are_repeats(tmp_path):
    cells = ["conv3x3~0+conv1x1~+output~1", "conv1x1~+conv3x3~0+output~2", "conv3x3~0+output~1"]  # one and the same
    lines = [f'"{cell}",{50 + number}' for number, cell in enumerate(cells)]
    table = opened(tmp_path, "\n".join(["architecture,accuracy", *lines]))
    assert list(table.architectures) == ["conv3x3~0+output~1"]
    assert table.known == (AvailableAccuracy("own", "test", 0, (0, 1, 2)),)
    assert table.accuracy("conv3x3~0+output~1", "own", "test") == 51


def test_space_follows_from_the_string_or_is_named(tmp_path):
    for architecture, space in {FIRST: "nasbench201", "8:16:24:32:64": "nats_size", "output~0": "nasbench101"}.items():
        assert opened(tmp_path, f"architecture,accuracy\n{architecture},50\n").space == space
    text = "architecture,accuracy\nds=1;ws=16;ss=1,50\n"
    with pytest.raises(
        UserError, match="cannot tell which search space 'ds=1;ws=16;ss=1' belongs to; name it with --space"
    ):
        opened(tmp_path, text)
    assert opened(tmp_path, text, space="nds_resnet").accuracy("ds=1;ws=16;ss=1", "own", "test") == 50


def test_damaged_csv_is_one_line(tmp_path):
    for text, message in (
        ("", "no rows"),
        ("name,accuracy\nx,50\n", "expected a column architecture or arch or arch_str, found name, accuracy"),
        ("architecture,acc\nx,fifty\n", "no accuracies: expected a column accuracy"),
        (f"architecture,pixel3_ms\n{FIRST},5\n{SECOND},slow\n", "line 3: pixel3_ms 'slow': expected a number"),
        (f"architecture,accuracy\n{FIRST},high\n", "line 2: accuracy 'high': expected a number"),
        (f"architecture,accuracy\n{FIRST},50\n{SECOND},101\n", "line 3: accuracy 101: expected a percentage"),
        (f"architecture,accuracy\n{FIRST},0.93\n", "give percentages"),
        (f"architecture,accuracy\n{FIRST},nan\n", "accuracy nan: expected a percentage"),
        (f"architecture,accuracy,seed\n{FIRST},50,-1\n", "seed '-1': expected a whole number, 0 or more"),
        (f"architecture,accuracy\n{FIRST},50,60\n", "line 2: the number of fields differs from the header"),
        ('architecture,accuracy\n"conv3x3~0+output~1",50\n"output~9",50\n', "line 3: .*source '9' is not"),
        (f"architecture,seed,accuracy\n{FIRST},0,50\n{FIRST},0,51\n", "two values for accuracy .*: 50 and 51"),
        (f"architecture,accuracy\n{FIRST},50\n" + "x" * 200_000, "not a UTF-8 CSV file"),
        (b"architecture,accuracy\n\xff\xfe,50\n", "not a UTF-8 CSV file"),
    ):
        (tmp_path / "mine.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises((UserError, SpaceError), match=message) as caught:
            open_benchmark(tmp_path / "mine.csv")
        assert "\n" not in str(caught.value)


def test_written_columns_are_the_same_bits(tmp_path):
    columns = {
        "few": [50.0, np.nan, 93.12, 0.0, 100.0],
        "means of mini-batches": [17.733333330790202, 16.999999966939292, np.nan, 100 / 3, np.nextafter(50, 51)],
        "extremes": [1e-300, 1e300, -1.0, np.nan, -0.0],
        "unknown": [np.nan] * 5,
    }
    table = Table(
        "mine", "other", "", list("abcde"), {Key("loss", name): np.array(each) for name, each in columns.items()}
    )
    write_table(table, tmp_path / "table.npz")
    for key, column in read_table(tmp_path / "table.npz").columns.items():
        assert column.tobytes() == table.columns[key].tobytes()


WIDE = ("cifar10_valid_xvalid_12", "cifar10_valid_xvalid_200", "cifar10_oritest_200", "cifar100_xtest_200")


def test_validation_directs_and_test_is_reported(tmp_path, caplog):
    table = opened(tmp_path, f"arch,{','.join(WIDE)}\n{FIRST},1,2,3,4\n")
    assert search_target(table, "cifar10") == Target("cifar10-valid", "x-valid", 12)
    assert search_target(table, "cifar10", 200) == Target("cifar10-valid", "x-valid", 200)
    assert reported_target(table, "cifar10") == Target("cifar10", "ori-test", 200)
    assert not caplog.messages
    with pytest.raises(UserError, match="--epochs 90: mine has trainings of 12, 200 epochs on cifar10"):
        search_target(table, "cifar10", 90)
    with pytest.raises(UserError, match="mine has accuracies on cifar10, cifar100, not on digits"):
        search_target(table, "digits")


def test_test_accuracies_that_direct_a_search_are_called_so(tmp_path, caplog):
    table = opened(tmp_path, f"arch,accuracy\n{FIRST},50\n")
    assert search_target(table, "cifar10") == Target("own", "test", 0)
    assert "mine has no validation accuracies on cifar10: own test, 0 epochs directs the search" in caplog.text
    with pytest.raises(UserError, match="not on cifar10"):
        search_target(table, "cifar10", exact=True)


KNOWN = KnownSpace(SmallTable(SPACE[index] for index in range(0, 15_625, 10)))
KNOWN_SET = set(KNOWN)


def distance(one, other):
    return sum(a != b for a, b in zip(parse_cell(one), parse_cell(other), strict=True))


def test_known_space_lists_and_samples_what_the_table_knows():
    assert isinstance(KNOWN, EnumerableSpace)
    assert list(KNOWN) == [SPACE[index] for index in range(0, 15_625, 10)]
    assert KNOWN.index(SPACE[120]) == 12
    with pytest.raises(SpaceError, match="not listed in small table"):
        KNOWN.index(SPACE[121])
    with pytest.raises(SpaceError, match="has no architectures"):
        KnownSpace(SmallTable([]))
    rng = random.Random(0)
    twenty = KnownSpace(SmallTable(SPACE[index] for index in range(20)))
    counts = Counter(twenty.sample(rng) for _ in range(4_000))
    assert len(counts) == 20
    assert all(130 < count < 270 for count in counts.values())


def test_mutants_are_known_and_near_where_there_are_neighbours():
    rng = random.Random(0)
    distances = Counter()
    for architecture in KNOWN:
        mutant = KNOWN.mutate(architecture, rng)
        assert mutant in KNOWN_SET
        distances[distance(architecture, mutant)] += 1
    assert distances[0] == 0
    assert distances[1] > 500  # of five mutants, one in ten known
    full = KnownSpace(SmallTable(SPACE[index] for index in range(15_000)))
    assert all(distance(full[index], full.mutate(full[index], rng)) == 1 for index in range(500))
    whole = KnownSpace(SmallTable(SPACE))
    assert whole.mutate(SPACE[5], random.Random(3)) == SPACE.mutate(SPACE[5], random.Random(3))
    island = KnownSpace(SmallTable([SPACE[0], SPACE[1], SPACE[2]]))
    assert {island.mutate(SPACE[0], rng) for _ in range(30)} == {SPACE[1], SPACE[2]}
