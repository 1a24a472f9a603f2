import pytest

from naswot_lightning.data.probe import load_probe
from naswot_lightning.data.splits import cifar10_valid_halves, describe_split, held_out, read_split_file
from naswot_lightning.errors import UserError
from tests.archives import write_lists


def test_halves_of_cifar10_are_the_published_ones():
    train, valid = cifar10_valid_halves()
    assert (len(train), len(valid)) == (25_000, 25_000)
    assert train[:5] == [0, 5, 7, 11, 13]
    assert valid[:5] == [1, 2, 3, 4, 6]
    assert sorted(train + valid) == list(range(50_000))
    keep, hold = held_out(100, 0.3)
    assert (sorted(keep + hold), len(hold)) == (list(range(100)), 30)
    assert (keep, hold) == held_out(100, 0.3) != held_out(100, 0.3, seed=1)


def test_read_split_file_official_lists_in_both_formats(shared, tmp_path):
    path = shared("nasbench201-test-splits.json")
    for name, total, valid, test in (
        ("cifar100", 10_000, [1, 3, 4, 5, 8], [0, 2, 6, 7, 9]),
        ("imagenet16-120", 6_000, [1, 2, 3, 6, 7], [0, 4, 5, 10, 11]),
    ):
        lists = read_split_file(path, name, total)
        assert (lists[0][:5], lists[1][:5]) == (valid, test)
        assert len(lists[0]) == len(lists[1]) == total // 2
        assert read_split_file(write_lists(tmp_path / "own.txt", *lists), name, total) == lists


def test_read_split_file_damaged_is_one_line(tmp_path):
    path = tmp_path / "split.txt"
    for content, fault in (
        (b"\xff\xfe", "not JSON; expected"),
        (b"[" * 100_000, "not JSON; expected"),
        (b"[1, 2]", "no lists xvalid and xtest of cifar100"),
        (b'{"imagenet16-120": {}}', "no lists xvalid and xtest of cifar100"),
        (b'{"cifar100": {"xvalid": [0]}}', "no lists xvalid and xtest of cifar100"),
        (b'{"xvalid": 3, "xtest": [0]}', "xvalid is '3', expected a list"),
        (b'{"xvalid": [0, 1.5], "xtest": [2, 3]}', "xvalid holds '1.5'"),
        (b'{"xvalid": ["int", ["0", "-1"]], "xtest": [2, 3]}', "xvalid holds '-1'"),
        (b'{"xvalid": [0, 1], "xtest": [1, 2, 3]}', "overlap, both hold 1"),
        (b'{"xvalid": [0, 1], "xtest": [2, 4]}', "index 4 is out of range"),
        (b'{"xvalid": [0, 1, 1], "xtest": [2, 3]}', "holds an index twice"),
        (b'{"xvalid": [0], "xtest": [2]}', "2 images are in neither list, the first is 1"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=fault) as caught:
            read_split_file(path, "cifar100", 4)
        assert str(caught.value).startswith(f"--split_file {path}: ")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400 + len(str(path))


def test_lists_that_are_missing_or_not_needed(tmp_path):
    for place, fault in ((tmp_path / "none.txt", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UserError, match=fault):
            read_split_file(place, "cifar100", 4)
    for name in ("digits", "cifar10", "noise"):
        with pytest.raises(
            UserError, match=f"{name} has no such lists; the option is only for cifar100 and imagenet16"
        ):
            load_probe(name, tmp_path, 4, 0, split_file="x.txt")


def test_what_decides_a_split_is_its_content(tmp_path):
    first = write_lists(tmp_path / "a.txt", [0], [1])
    again = write_lists(tmp_path / "b.txt", [0], [1])
    other = write_lists(tmp_path / "c.txt", [1], [0])
    described = [describe_split("cifar100", path) for path in (first, again, other, None)]
    assert described[0] == described[1] != described[2]
    assert "not the benchmark's official lists" in described[3]
