"""Locks and atomic writes."""

import errno
import os

import pytest

from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import atomic_write, lock_folder


def test_lock_is_held_by_one_and_released(tmp_path):
    for _ in range(2):
        in_use = pytest.raises(UserError, match="in use by another process")
        with lock_folder(tmp_path), in_use, lock_folder(tmp_path, 0.2):
            pass


def test_lock_on_a_file_system_without_locks_warns(tmp_path, monkeypatch, capsys):
    codes = iter((errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK))

    def refuse(*_):
        code = next(codes)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", refuse)
    for _ in range(2):
        with lock_folder(tmp_path):
            pass
        warning = f"warning: {tmp_path}: this file system has no locks; let one command at a time use it\n"
        assert capsys.readouterr().err == warning
    with pytest.raises(OSError, match=r"No locks available: '.*\.lock'"), lock_folder(tmp_path):
        pass


def test_atomic_write_replaces_a_link_and_leaves_its_target(tmp_path):
    (tmp_path / "mine").write_text("precious\n")
    (tmp_path / "ranking.json").symlink_to(tmp_path / "mine")
    atomic_write(tmp_path / "ranking.json", "new\n")
    assert (tmp_path / "mine").read_text() == "precious\n"
    assert (tmp_path / "ranking.json").read_text() == "new\n"
    assert not (tmp_path / "ranking.json").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "ranking.json"]
