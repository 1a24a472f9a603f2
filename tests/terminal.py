"""What a person sees of a program: its output on a terminal of a given size, as it stands at the end."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from dataclasses import dataclass, field

_PART = re.compile(r"\x1b\[(?P<count>\??[\d;]*)(?P<code>[A-Za-z])|(?P<letter>.)", re.DOTALL)


@dataclass
class Screen:
    """The lines of a terminal with all that has scrolled off; it knows what bars of progress are made of."""

    columns: int
    lines: list[str] = field(default_factory=lambda: [""])
    row: int = 0
    column: int = 0

    def write(self, text: str) -> None:
        for part in _PART.finditer(text):
            if part["code"]:
                self._obey(part["code"], part["count"])
            else:
                self._print(part["letter"])

    def _obey(self, code: str, count: str) -> None:
        steps = int(count) if count.isdigit() else 1
        if code == "A":
            self.row = max(self.row - steps, 0)
        elif code == "K":
            self.lines[self.row] = "" if count == "2" else self.lines[self.row][: self.column]

    def _print(self, letter: str) -> None:
        if letter == "\r":
            self.column = 0
        elif letter == "\n":
            self._go_down()
        elif letter >= " ":
            if self.column == self.columns:
                self._go_down()
                self.column = 0
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + letter + line[self.column + 1 :]
            self.column += 1

    def _go_down(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")


def seen(command: list[str], columns: int, rows: int, **options: object) -> tuple[int, list[str]]:
    """Run a command on a terminal; return its exit code, and the lines that are left there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    program = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, **options)
    os.close(theirs)
    printed = b""
    try:
        while chunk := os.read(ours, 65536):
            printed += chunk
    except OSError:  # the last of its writers has closed it
        pass
    os.close(ours)
    screen = Screen(columns)
    screen.write(printed.decode())
    return program.wait(), [line.rstrip() for line in screen.lines]
