import os
import time
from threading import Thread
from types import SimpleNamespace

import pytest
import wandb

from naswot_lightning.errors import UserError
from naswot_lightning.report.wandb import runs
from naswot_lightning.report.wandb.runs import resolve_mode, send, start_run, wandb_group
from naswot_lightning.storage.files import lock_folder
from naswot_lightning.storage.run_folder import RunFolder


def test_resolve_mode_is_offline_unless_a_key_is_set(monkeypatch, tmp_path):
    assert resolve_mode("auto") == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert resolve_mode("auto") == "online"
    assert resolve_mode("disabled") == "disabled"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert resolve_mode("auto") == "disabled"
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password " + "x" * 40)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert resolve_mode("auto") == "online"


def test_start_run_together_asks_the_server_in_turn(tmp_path, monkeypatch):
    asking, most = [], []

    def init(mode, **arguments):
        asking.append(mode)
        most.append(len(asking))
        time.sleep(0.02)
        asking.pop()
        return mode

    monkeypatch.setattr(wandb, "init", init)
    threads = [Thread(target=start_run, args=("online", None, tmp_path, {})) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]
    monkeypatch.setattr(runs, "_PATIENCE_S", 0.1)
    with lock_folder(tmp_path / "wandb"):  # beside one that hangs it starts
        assert start_run("online", None, tmp_path, {}) == "online"


@pytest.fixture
def fresh_wandb():
    """Wandb reads its settings once a process."""
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.mark.usefixtures("fresh_wandb")
def test_start_run_odd_environment_is_one_line_and_no_run(tmp_path, monkeypatch, caplog):
    for name, value in (("MODE", "odd"), ("BASE_URL", "odd"), ("PROJECT", "a/b")):
        with monkeypatch.context() as patch:
            patch.setenv(f"WANDB_{name}", value)
            assert start_run("auto", None, tmp_path, {}) is None
        (message,) = said(caplog)
        assert message.startswith("wandb cannot start (")
        assert "\n" not in message
        caplog.clear()
        wandb.teardown()


def said(caplog):
    return [each.message for each in caplog.records if each.name.startswith("naswot_lightning")]


@pytest.mark.usefixtures("fresh_wandb")
def test_start_run_reads_no_settings_of_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "settings").write_text("[default]\nbase_url = http://127.0.0.1:9\n")
    monkeypatch.chdir(tmp_path)
    run = start_run("offline", None, tmp_path / "run", {})
    run.finish()
    assert run.settings.base_url != "http://127.0.0.1:9"


def test_start_run_project_is_that_of_the_option_then_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setattr(wandb, "init", lambda project, **arguments: project)
    assert start_run("auto", None, tmp_path, {}) == "naswot-lightning"
    monkeypatch.setenv("WANDB_PROJECT", "env")
    assert start_run("auto", None, tmp_path, {}) == "env"
    assert start_run("auto", "mine", tmp_path, {}) == "mine"


def test_start_run_refused_is_one_line_or_kept_offline(tmp_path, monkeypatch, caplog):
    def init(mode, **arguments):
        if mode == "online":
            raise wandb.errors.CommError("returned error 403\nand more")
        return mode

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(UserError, match=r"^--wandb\.mode online: returned error 403; use --wandb\.mode offline"):
        start_run("online", None, tmp_path, {})
    assert start_run("auto", None, tmp_path, {}) == "offline"
    assert said(caplog) == [
        f"wandb cannot be reached (returned error 403): the run is kept offline in {tmp_path}/wandb"
    ]
