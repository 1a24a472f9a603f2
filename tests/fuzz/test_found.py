"""What the fuzz has found, each once: a traceback or a hang before, an error of one line now."""

import json
import random
import time
from dataclasses import replace

import numpy as np
import pytest

from naswot_lightning.errors import UserError
from naswot_lightning.storage.plain_yaml import parse_yaml
from spaces import SpaceError
from tests.fuzz.inputs import run_input
from tests.fuzz.readers import READERS
from tests.fuzz.run_files import draw_results_of_a_run, read_a_ranking, read_results_of_a_run
from tests.runs import result, write_pick


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!bool x", "a tag"),
        ("a: !!int ''", "a tag"),
        ("a: !!timestamp x", "a tag"),
        ("!!set {a, b}", "a tag"),
        (f"a: {'9:' * 200}9.5", "OverflowError|too large"),
        (f"a: [{'1,' * 20_000}]", "more than 10,000 values"),
    ],
)
def test_yaml(text, message):
    start = time.perf_counter()
    with pytest.raises(ValueError, match=message) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - start < 2


def test_a_ranking_of_nothing(tmp_path):
    (tmp_path / "ranking.json").write_text("[]")
    with pytest.raises(UserError, match="expected a candidate at least"):
        read_a_ranking(tmp_path)


def _stored(folder):
    for name, content in READERS["stored images"].make(random.Random(0)).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / "images"


def _header(images):
    path = images / "train-images.npy"
    path.write_bytes(path.read_bytes().replace(b"}", b"(", 1))


def _labels(images):
    np.save(images / "test-labels.npy", np.array([0, 1, 2, 0, 1, 3]))


def _empty(images):
    np.save(images / "train-images.npy", np.zeros((6, 0, 0, 3), np.uint8))


def _mean(images):
    description = json.loads((images / "dataset.json").read_text())
    description["plain"]["mean"] = {}
    (images / "dataset.json").write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_header, "train-images.npy is no array"),
        (_labels, "test has labels from 0 to 3, expected 0 to 2"),
        (_empty, "train has 6 images of 0x0, expected squares"),
        (_mean, "mean: "),
    ],
)
def test_stored_images(tmp_path, damage, message):
    damage(_stored(tmp_path))
    with pytest.raises(UserError, match=message):
        READERS["stored images"].read(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [{"score_init": 1e308}, {"test_loss": -1e308}, {"test_acc": 1.5}, {"best_val_acc": -0.1}, {"score_final": 1e41}],
)
def test_numbers_whose_sums_are_none(tmp_path, changes):
    write_pick(tmp_path, result(1, **changes))
    with pytest.raises(UserError, match="is damaged"):
        read_results_of_a_run(tmp_path)


def test_scores_and_epochs_beyond_all_others_during_training(tmp_path):
    folder = write_pick(tmp_path, result(1), (1e308, -1e308, 300.0, 301.0))
    read_results_of_a_run(tmp_path)
    evidence = json.loads((tmp_path / "evidence.json").read_text())
    assert evidence["groups"][0]["trajectory"]["points_left_out"] == 2
    (folder / "trajectory.csv").write_text("step,epoch,score,status\n1,1e300,3.5,ok\n")
    with pytest.raises(UserError, match="is damaged"):
        read_results_of_a_run(tmp_path)


def test_texts_of_a_result_are_no_formula_and_no_control_of_the_terminal(tmp_path, capsys):
    for number in (1, 2):
        odd = {"space": r"$\frac{1$", "dataset": "x" * 5_000 + "\x1b[2J", "test_set": "$", "canonical": f"{number}\n"}
        write_pick(tmp_path, result(number, **odd), name=f"{number}-$")
    read_results_of_a_run(tmp_path)
    assert "\x1b" not in capsys.readouterr().out
    draw_results_of_a_run(tmp_path)
    assert (tmp_path / "figures" / "figure6.png").stat().st_size > 1_000


def test_a_message_is_one_line_whatever_it_quotes():
    for kind in (UserError, SpaceError):
        assert str(kind("no\nfile\x1b \udcff")) == "no\\nfile\\x1b \\udcff"
        assert len(str(kind("\n" * 1_000_000))) < 2_000
        assert str(kind("x" * 5_000 + " and the cure")).endswith(" and the cure")


def test_a_time_out_is_found(tmp_path):
    reader = replace(READERS[".run_id"], read=lambda folder: time.sleep(5), most_seconds=0.1)
    assert run_input(reader, 0, 0).fault == "OutOfTime"
