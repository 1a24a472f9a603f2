"""What the terminal, pipes and Ctrl-C do to a command; it loads nothing, so that it can be asked first."""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import NoReturn

_INTERRUPTED = 130


class _PatientStream(io.TextIOWrapper):
    """A stream whose reader may leave (``| head -1``): what is written then is lost, and the work goes on."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            self._forget_reader()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._forget_reader()

    def _forget_reader(self) -> None:
        nobody = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nobody, self.fileno())
        os.close(nobody)


def _patient(stream: io.TextIOWrapper) -> _PatientStream:
    encoding, by_line, at_once = stream.encoding, stream.line_buffering, stream.write_through  # not known once detached
    return _PatientStream(stream.detach(), encoding, "backslashreplace", line_buffering=by_line, write_through=at_once)


def settle_streams() -> None:
    """Let output never end a command: closed, its reader gone, or in an encoding without the letters of a name."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the shell
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif stream is getattr(sys, f"__{name}__") and isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, _patient(stream))


def end_at_once() -> None:
    """Let Ctrl-C and SIGTERM end the process in one line while libraries are loaded: there is nothing to save yet.

    Loading is full of moments in which an exception is lost, or becomes another.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    signal.signal(signal.SIGTERM, _end)


def raise_interrupts() -> None:
    """Let Ctrl-C, and SIGTERM of a scheduler, raise KeyboardInterrupt: from here on there is work to save."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(signum) is _end:
            signal.signal(signum, signal.default_int_handler)


def _end(signum: int, frame: object) -> NoReturn:
    os.write(2, f"{os.path.basename(sys.argv[0])}: interrupted; run the same command again\n".encode())
    os._exit(_INTERRUPTED)
