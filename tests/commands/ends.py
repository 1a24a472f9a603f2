"""How commands end that are given what they must refuse."""

import re
from functools import partial
from pathlib import Path

from naswot_lightning.cli import run_named

search_main = partial(run_named, "search")
train_main = partial(run_named, "train")


COMMANDS = {"search.py": search_main, "train.py": train_main}


def refused(capsys, command, *words: object) -> str:
    """Return the one line on stderr of a command that ends in this process with the exit code of a mistake."""
    capsys.readouterr()
    assert COMMANDS.get(command, command)(list(map(str, words))) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert re.match(r"naswot [\w ]+: error: ", error), error
    return error


def contents(folder: Path) -> dict[str, bytes | None]:
    """All that lies in a folder, so that it can be seen that nothing was touched."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if not path.is_fifo()
    }
