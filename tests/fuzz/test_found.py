"""What the fuzz has found, each once: a traceback or a hang before, an error of one line now."""

import io
import json
import random
import time
import zipfile
from dataclasses import replace

import pytest

from naswot_lightning.errors import UserError
from spaces import SpaceError
from tests.fuzz.inputs import run_input
from tests.fuzz.readers import READERS
from tests.fuzz.run_files import draw_results_of_a_run, read_a_ranking, read_results_of_a_run
from tests.runs import result, write_pick


def test_a_ranking_of_nothing(tmp_path):
    (tmp_path / "ranking.json").write_text("[]")
    with pytest.raises(UserError, match="expected a candidate at least"):
        read_a_ranking(tmp_path)


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


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda known: known["correlations"].pop("score_init"), "nothing of score_init"),
        (lambda known: known["correlations"]["macs"]["spearman_rho"].update(low=None), "an interval with one end"),
    ],
)
def test_evidence_of_a_table_that_is_not_whole(tmp_path, damage, message):
    files = READERS["benchmark_evidence.json"].make(random.Random(5))
    known = json.loads(files["benchmark_evidence.json"])
    assert known["networks"] == 7
    damage(known)
    for name, content in {**files, "benchmark_evidence.json": json.dumps(known).encode()}.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"benchmark_evidence.json is damaged .*{message}"):
        READERS["benchmark_evidence.json"].read(tmp_path)


def _without_a_few_bytes(archive):
    """Its table of contents then places the first part before the file."""
    return archive[:100] + archive[110:]


def _header_without_an_end(archive):
    name = "matrices.npy"
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(changed, "w") as new:
        for each in old.namelist():
            content = old.read(each)
            new.writestr(each, content.replace(b"}", b" ", 1) if each == name else content)
    return changed.getvalue()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without_a_few_bytes, "is damaged, or no measurement .*Invalid argument"),
        (_header_without_an_end, "is damaged, or no measurement .*EOF in multi-line"),
    ],
)
def test_arrays_of_no_file(tmp_path, damage, message):
    ((name, content),) = READERS["measured/kernels.npz"].make(random.Random(0)).items()
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_bytes(damage(content))
    with pytest.raises(UserError, match=message):
        READERS["measured/kernels.npz"].read(tmp_path)


def test_a_message_is_one_line_whatever_it_quotes():
    for kind in (UserError, SpaceError):
        assert str(kind("no\nfile\x1b \udcff")) == "no\\nfile\\x1b \\udcff"
        assert len(str(kind("\n" * 1_000_000))) < 2_000
        assert str(kind("x" * 5_000 + " and the cure")).endswith(" and the cure")


def test_a_time_out_is_found(tmp_path):
    reader = replace(READERS[".run_id"], read=lambda folder: time.sleep(5), most_seconds=0.1)
    assert run_input(reader, 0, 0).fault == "OutOfTime"
