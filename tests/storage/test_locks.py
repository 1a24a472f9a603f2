"""One process at a time in a run folder, which stays where it is."""

import errno
import os

import pytest

from naswot_lightning.cli.parser import run_command
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.search.loop import Loop
from naswot_lightning.storage.files import lock_folder


def test_a_lock_is_held_by_one_and_let_go(tmp_path):
    for _ in range(2):
        with (
            lock_folder(tmp_path),
            pytest.raises(UserError, match="in use by another process"),
            lock_folder(tmp_path, 0.2),
        ):
            pass


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, capsys, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", refuse)
    with lock_folder(tmp_path):
        pass
    assert (
        capsys.readouterr().err
        == f"warning: {tmp_path}: this file system has no locks; let one command at a time use it\n"
    )


def test_another_error_of_a_lock_names_the_file(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(OSError, match=r"No locks available: '.*\.lock'"), lock_folder(tmp_path):
        pass


def test_a_run_folder_that_is_gone_at_the_end_is_said_and_not_made_anew(tmp_path, monkeypatch, capsys):
    words = ["--samples", "2", "--batch_size", "4", "--wandb.mode", "disabled", "--run_dir"]
    run, moved = tmp_path / "run", tmp_path / "moved"
    score = Loop.run

    def score_and_move(*given):
        rows = score(*given)
        run.rename(moved)
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "run", score_and_move)
        assert run_command(run_search, SearchConfig, "search.py", [*words, str(run)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{run} was moved or removed while this command ran" in error
    assert not run.exists()
    assert run_command(run_search, SearchConfig, "search.py", [*words, str(moved)]) == 0
