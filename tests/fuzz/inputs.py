"""One input of one reader: made, read under a time-out, and judged."""

import contextlib
import io
import random
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from naswot_lightning.errors import UserError
from spaces import SpaceError
from tests.fuzz.mutations import mutated
from tests.fuzz.readers import Reader

MOST_CHARACTERS = 2_000  # of a message


class OutOfTime(BaseException):
    """No reader catches it."""


@dataclass(frozen=True)
class Ending:
    """How one input ended: with a result, with an error in one line, or with a fault, which says what it was."""

    seconds: float
    message: str | None = None
    fault: str | None = None
    details: str = ""


def hostile_files(reader: Reader, number: int, seed: int) -> dict[str, bytes]:
    """The files of an input, one of which is mutated."""
    rng = random.Random(f"{seed} {reader.name} {number}")
    files = dict(reader.make(rng))
    name = rng.choice([name for name in files if name not in reader.whole])
    return {**files, name: mutated(rng, files[name], Path(name).suffix)}


def run_input(reader: Reader, number: int, seed: int) -> Ending:
    """Let a reader read an input."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        for name, content in hostile_files(reader, number, seed).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return _read(reader, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read(reader: Reader, folder: Path) -> Ending:
    start = time.process_time()
    try:
        with _bounded(reader.most_seconds), _quiet():
            reader.read(folder)
    except (UserError, SpaceError) as error:
        fault = _fault_of(str(error))
        return Ending(time.process_time() - start, str(error), fault, str(error)[:500] if fault else "")
    except (Exception, OutOfTime) as error:  # noqa: BLE001 - what is looked for
        return Ending(time.process_time() - start, None, type(error).__name__, traceback.format_exc()[-2_500:])
    return Ending(time.process_time() - start)


def _fault_of(message: str) -> str | None:
    """What is wrong with a message that should be one short line."""
    if not message.strip():
        return "no message"
    if len(message) >= MOST_CHARACTERS:
        return "a long message"
    return None if message.isprintable() else "a message that cannot be printed as one line"


@contextlib.contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Raise :class:`OutOfTime` after so many seconds of work, or five times as many that pass: others work, too."""

    def end(number: int, frame: object) -> None:
        raise OutOfTime(f"more than {seconds:g} s")

    clocks = {signal.ITIMER_PROF: (signal.SIGPROF, seconds), signal.ITIMER_REAL: (signal.SIGALRM, 5 * seconds)}
    before = {number: signal.signal(number, end) for number, _ in clocks.values()}
    for clock, (_, most) in clocks.items():
        signal.setitimer(clock, most)
    try:
        yield
    finally:
        for clock in clocks:
            signal.setitimer(clock, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    odd = [line for line in text.getvalue().split("\n") if not line.isprintable()]
    assert not odd, f"printed {odd[0][:100]!r}"
