"""The process beside a command that holds its cluster: here with a Ray of a few lines, which writes what it does."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from naswot_lightning.errors import UserError
from naswot_lightning.execution import begin_engine, ray_head
from naswot_lightning.execution.ray_head import Head, head_for, store_bytes
from tests.conftest import ROOT
from tests.execution.tasks import wait_until

OF_RAY = (
    "RAY_USAGE_STATS_ENABLED", "RAY_DEDUP_LOGS_SKIP_REGEX", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "RAY_worker_niceness",
    "RAY_AUTH_MODE", "RAY_AUTH_TOKEN",
)  # fmt: skip
RAY = """
import os, pathlib, types
SEEN = pathlib.Path({folder!r})
def init(address, object_store_memory, **options):
    print("loud")
    assert address == "local" and os.getcwd() == os.path.abspath(os.sep)
    {fault}
    (SEEN / f"begun-{{os.getpid()}}").write_text(f"{{object_store_memory}} {{os.environ['RAY_AUTH_TOKEN']}}")
def get_runtime_context():
    return types.SimpleNamespace(gcs_address="127.0.0.1:6379")
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in {*OF_RAY, *(name for name in os.environ if name.startswith("RAY_"))}:
        monkeypatch.setenv(name, "")  # what a test sets for Ray is forgotten with it
        monkeypatch.delenv(name)
    monkeypatch.setattr(ray_head, "_begun", [])


@pytest.fixture
def install(tmp_path, monkeypatch):
    def write(fault="pass"):
        (tmp_path / "modules").mkdir()
        (tmp_path / "modules" / "ray.py").write_text(RAY.format(folder=str(tmp_path), fault=fault))
        monkeypatch.syspath_prepend(tmp_path / "modules")
        monkeypatch.delitem(sys.modules, "ray", raising=False)
        return tmp_path

    return write


def seen(folder, what):
    return sorted(path.name.partition("-")[2] for path in folder.glob(f"{what}-*"))


def test_it_is_begun_once_used_once_and_ended(install):
    folder = install()
    begin_engine("local")
    assert ray_head._begun == []
    begin_engine("ray")
    begin_engine("ray")
    (begun,) = ray_head._begun
    head = head_for(1000)
    assert head is begun
    assert head.address() == head.address() == "127.0.0.1:6379"
    store, token = next(folder.glob("begun-*")).read_text().split()
    assert int(store) == store_bytes(ray_head._TASK_BYTES)
    assert len(token) == 64
    assert len(seen(folder, "begun")) == 1
    assert of_session(head._process.pid)
    head.wait()
    assert not of_session(head._process.pid)
    head.wait()  # as the end of the process does, too


def test_one_without_room_for_the_task_makes_way_for_another(install):
    folder = install()
    begin_engine("ray")
    (small,) = ray_head._begun
    large = head_for(2**30)
    assert large is not small
    large.address()
    assert any(int((path.read_text() or "0").split()[0]) > 2**31 for path in folder.glob("begun-*"))
    for head in (small, large):
        head.wait()
        assert not of_session(head._process.pid)


def test_a_cluster_of_the_user_and_a_missing_package_begin_nothing(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setenv("RAY_ADDRESS", "auto")
        begin_engine("ray")
    monkeypatch.setattr(ray_head, "find_spec", lambda name: None)
    begin_engine("ray")
    assert ray_head._begun == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise RuntimeError('no room\\nat all')", "Ray cannot be started on this machine: no room$"),
        ("os._exit(1)", "Ray cannot be started on this machine: it ended while it was started$"),
    ],
)
def test_what_cannot_be_started_is_one_line(install, fault, said):
    install(fault)
    head = Head()
    with pytest.raises(UserError, match=f"--engine ray: {said}"):
        head.address()
    head.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_it_ends_where_a_part_of_the_cluster_has(install):
    install("import subprocess; subprocess.Popen(['sleep', '300']); subprocess.Popen(['sleep', '301'])")
    head = Head()
    head.address()
    part = max(of_session(head._process.pid))
    assert not head.has_ended()
    os.kill(part, signal.SIGKILL)
    wait_until(head.has_ended)
    assert not of_session(head._process.pid)
    head.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
@pytest.mark.parametrize("is_there", [False, True])
def test_it_ends_where_the_command_is_killed(install, is_there):
    child = "import subprocess; subprocess.Popen(['sleep', '300'], preexec_fn=os.setpgrp)"  # as Ray's workers have one
    folder = install(child if is_there else f"{child}; import time; time.sleep(300)")
    waits = "import time; time.sleep(60)"
    program = f"from naswot_lightning.execution.ray_head import Head; h = Head(); print(h._process.pid); {waits}"
    path = os.pathsep.join([str(folder / "modules"), str(ROOT)])
    command = subprocess.Popen(
        [sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    beside = int(command.stdout.readline())
    wait_until(lambda: len(of_session(beside)) == 2 and (seen(folder, "begun") or not is_there))
    command.send_signal(signal.SIGKILL)
    command.wait()
    wait_until(lambda: not of_session(beside))


def of_session(leader):
    """The running processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(path.name)) == leader and (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found
