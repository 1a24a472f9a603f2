import json

import pytest

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import lock_folder
from tests.searching.runs import QUICK, SPACE, files_of, rows_of


def test_running_again_changes_nothing_and_scores_nothing(finished, monkeypatch):
    before = files_of(finished), (finished / "scores.jsonl").read_bytes()
    monkeypatch.setattr(type(SPACE), "build", lambda *_: pytest.fail("scored again"))
    for overwrite in (False, True):  # of the same settings, it keeps what is finished
        assert run_search(SearchConfig(run_dir=str(finished), overwrite=overwrite, **QUICK)) == 0
        assert (files_of(finished), (finished / "scores.jsonl").read_bytes()) == before


@pytest.fixture
def run(finished, tmp_path):
    """A copy of what a finished search needs to go on."""
    (tmp_path / "run").mkdir()
    for name in ("scores.jsonl", "config.yaml"):
        (tmp_path / "run" / name).write_bytes((finished / name).read_bytes())
    return tmp_path / "run"


def test_changed_data_are_named(run):
    rows = [{**json.loads(line), "probe": "0" * 16} for line in (run / "scores.jsonl").read_text().splitlines()]
    (run / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match="the data has changed"):
        run_search(SearchConfig(run_dir=str(run), **QUICK))


def test_other_settings_are_refused_named_and_overwritten_on_request(run):
    before = (run / "scores.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"seed was 0, now 1.*--overwrite"):
        run_search(SearchConfig(run_dir=str(run), seed=1, **QUICK))
    config = run / "config.yaml"
    of_the_cpu = config.read_text()
    config.write_text(of_the_cpu.replace("device: cpu\n", "device: cuda\n"))
    with pytest.raises(UserError, match="device was 'cuda', now 'cpu'"):
        run_search(SearchConfig(run_dir=str(run), **QUICK))
    config.write_text(of_the_cpu)
    with lock_folder(run), pytest.raises(UserError, match="in use by another process"):
        run_search(SearchConfig(run_dir=str(run), **QUICK))
    assert (run / "scores.jsonl").read_bytes() == before
    assert run_search(SearchConfig(run_dir=str(run), **QUICK)) == 0
    (run / "notes.txt").write_text("mine")
    assert run_search(SearchConfig(run_dir=str(run), seed=1, overwrite=True, **QUICK)) == 0
    assert {row["seed"] for row in rows_of(run)} == {1}
    assert (run / "notes.txt").read_text() == "mine"
    for taken in (run / "notes.txt", run / "notes.txt" / "inside"):
        with pytest.raises(UserError, match="expected a folder, but this is a file"):
            run_search(SearchConfig(run_dir=str(taken), **QUICK))
