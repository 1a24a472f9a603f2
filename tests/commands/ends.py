"""How commands end that are given what they must refuse."""

import subprocess
import sys
from pathlib import Path

from naswot_lightning.cli.search import main as search_main
from naswot_lightning.cli.train import main as train_main
from tests.conftest import ROOT

COMMANDS = {"search.py": search_main, "train.py": train_main}


def run(script: str, *words: object, cwd: Path = ROOT, timeout: float = 120, **kwargs) -> subprocess.CompletedProcess:
    """A command as a user runs it, its output as text."""
    command = [sys.executable, str(ROOT / script), *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False, **kwargs)


def refused(capsys, script: str, *words: object) -> str:
    """Return the one line on stderr of a command that ends in this process with the exit code of a mistake."""
    capsys.readouterr()
    assert COMMANDS[script](list(map(str, words))) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert error.startswith(f"naswot {script.removesuffix('.py')}: error: ")
    return error


def contents(folder: Path) -> dict[str, bytes | None]:
    """All that lies in a folder, so that it can be seen that nothing was touched."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if not path.is_fifo()
    }
