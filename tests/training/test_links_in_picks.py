"""A pick's files are never links or pipes, and what can be written again is."""

import os

import pytest

from naswot_lightning.analysis.results import read_results
from naswot_lightning.analysis.trajectory import read_trajectory
from naswot_lightning.errors import UserError
from naswot_lightning.execution.places import Place
from naswot_lightning.training.outcome import Outcome, read_outcome
from naswot_lightning.training.progress import Lines
from naswot_lightning.training.task import TrainPick
from naswot_lightning.training.wandb_logger import SentOnceLogger
from tests.runs import result, write_pick


def replace(path, kind, target):
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(target)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("precious\n")
    return path


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
@pytest.mark.parametrize(
    ("name", "read"),
    [("result.json", lambda path: read_results(path.parents[2])), ("trajectory.csv", read_trajectory)],
)
def test_a_result_is_a_file(tmp_path, mine, name, read, kind):
    folder = write_pick(tmp_path / "run", result(1))
    replace(folder / name, kind, mine)
    with pytest.raises(UserError, match=rf"{name} is a link, a folder or a pipe") as error:
        read(folder / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_log_is_a_file(tmp_path, mine, kind):
    folder = write_pick(tmp_path / "run", result(1))
    replace(folder / "train.log", kind, mine)
    with pytest.raises(UserError, match=r"train\.log is a link, a folder or a pipe"):
        TrainPick(tmp_path, "nasbench201", [Place(1)], Lines())(folder)
    assert mine.read_text() == "precious\n"


@pytest.mark.parametrize("content", ["", '{"train/loss": 3', "[1]", "null", '{"a": "b"}', "\x00"])
def test_what_was_sent_is_nothing_where_its_file_is_damaged(tmp_path, content):
    file = tmp_path / ".sent.json"
    file.write_text(content)
    SentOnceLogger(lambda: None, file)
    (tmp_path / "outcome.json").write_text(content)
    assert read_outcome(tmp_path) == Outcome("killed")
