"""Shared fixtures: the folder of real data, small networks, a command runner."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# As the commands do, before torch is loaded: threads that wait sleep soon.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# A job in the background may be started with Ctrl-C ignored, and its children would be, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent


def shared_path(*parts: str) -> Path:
    """A file of the folder of real data; the test is skipped where it is absent."""
    path = Path(os.environ.get("NASWOT_SHARED", ROOT.parent / "shared")).joinpath("data", *parts)
    if not path.exists():
        pytest.skip(f"real data is absent: {path} (set NASWOT_SHARED to its folder)")
    return path


def slow(*values):
    """Return parameters whose tests are run by `make test-slow` alone."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


@pytest.fixture
def shared():
    return shared_path


@pytest.fixture(autouse=True)
def _no_account(monkeypatch, tmp_path_factory):
    """Tests never use the wandb account of whoever runs them."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_SERVICE", "WANDB_PROJECT", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    for name in ("CONFIG", "DATA", "CACHE"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(home / "wandb"))


def run_script(
    script: str, *arguments: object, timeout: float = 300, cwd: Path = ROOT, **kwargs
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / script), *(str(a) for a in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=cwd, check=False, **kwargs)


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of so many columns, as the output; returns what is printed."""

    def make(width, encoding="utf-8"):
        screen = io.TextIOWrapper(io.BytesIO(), encoding, write_through=True)
        screen.isatty = lambda: True
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(sys, "stdout", screen)
        return lambda: screen.buffer.getvalue().decode(encoding)

    return make
