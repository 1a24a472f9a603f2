"""A pickle with another memo: what is never read again is not kept, and numbers are used again after the last reading.

An unpickler keeps whatever a pickle puts into its memo until the end of the file. The official files put every text
there, 10,000 of each architecture, and read 170 of them again.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from naswot_lightning.score.compiled.jit import compiled

_PIECE = 1 << 20  # bytes at a time
_MOST = 1 << 26  # bytes of one text
_PLAIN, _PUT, _GET, _FRAME, _STOP, _UNKNOWN = range(6)
_ROLES = {"q": _PUT, "r": _PUT, "\x94": _PUT, "h": _GET, "j": _GET, "\x95": _FRAME, ".": _STOP}
# What asks for code, and a memo in digits, which nobody writes who writes large files.
_ROLES |= dict.fromkeys("\x82\x83\x84pg", _UNKNOWN)
_LONG_PUT, _LONG_GET = b"rj"
_GOES_ON, _ENDED, _OTHER = range(3)  # what a piece ends with: in its midst, with the pickle, before what is not known


def _opcodes() -> np.ndarray:
    """Return (256, 4): of each opcode the role, and the bytes, the bytes of a length, and the lines that follow it."""
    table = np.zeros((256, 4), np.int64)
    table[:, 0] = _UNKNOWN
    counts = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT4: 4}
    counts |= {pickletools.TAKEN_FROM_ARGUMENT4U: 4, pickletools.TAKEN_FROM_ARGUMENT8U: 8}
    for each in pickletools.opcodes:
        size, name = (0, "") if each.arg is None else (each.arg.n, each.arg.name)
        lines = (2 if "pair" in name else 1) if size == pickletools.UP_TO_NEWLINE else 0
        counted = counts.get(size, 0)
        table[ord(each.code)] = _ROLES.get(each.code, _PLAIN), counted or max(size, 0), counted, lines
    return table


_OPCODES = _opcodes()


def forgetful(file: BinaryIO) -> BinaryIO:
    """Return the same pickle, of which an unpickler remembers little; the file itself where it is damaged or unusual.

    The file is read twice, and what is unpickled is the same, object by object.

    Args:
        file: at the beginning of a pickle; it can seek.
    """
    begin = file.tell()
    reads = _reads(file)
    file.seek(begin)
    return file if reads is None else io.BufferedReader(_Rewritten(file, reads), _PIECE)


def _reads(file: BinaryIO) -> np.ndarray | None:
    """Return which numbers are read from the memo, one after the other; None where that cannot be told."""
    found: list[np.ndarray] = []
    puts = np.zeros(1, np.int64)

    def step(code: np.ndarray) -> tuple[int, int]:
        reads = np.empty(len(code) // 2 + 1, np.uint32)
        at, end, count = _scan(code, _OPCODES, puts, reads)
        found.append(reads[:count].copy())
        return at, end

    *_, end = _pieces(file, step)
    return np.concatenate(found) if end == _ENDED else None


def _pieces(file: BinaryIO, step: Callable[[np.ndarray], tuple[int, int]]) -> Iterator[int]:
    """Give a pickle to a function, from where it came to; yield what each piece ends with."""
    rest, end, new = b"", _GOES_ON, b"."
    while end == _GOES_ON and new:
        new = file.read(max(_PIECE, len(rest)))
        code = np.frombuffer(rest + new, np.uint8)
        at, end = step(code)
        yield end
        rest = code[at:].tobytes()


class _Rewritten(io.RawIOBase):
    def __init__(self, file: BinaryIO, reads: np.ndarray) -> None:
        super().__init__()
        wanted, backwards = np.unique(reads[::-1], return_index=True)
        slots, free = np.zeros((2, len(wanted)), np.uint32)
        self._memo = np.zeros(5, np.int64), wanted, len(reads) - 1 - backwards, slots, free
        self._written, self._given = np.zeros(0, np.uint8), 0
        self._steps = _pieces(file, self._step)

    def _step(self, code: np.ndarray) -> tuple[int, int]:
        written = np.empty(5 * len(code), np.uint8)
        at, end, size = _rewrite(code, _OPCODES, *self._memo, written)
        self._written, self._given = written[:size], 0
        return at, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; return how many bytes there were."""
        while self._given == len(self._written):
            if next(self._steps, None) is None:
                return 0
        given = self._written[self._given : self._given + len(buffer)]
        buffer[: len(given)] = given.tobytes()
        self._given += len(given)
        return len(given)


@compiled()
def _number(code, at, size):  # type: ignore[no-untyped-def]
    number = np.int64(0)
    for k in range(size):
        number |= np.int64(code[at + k]) << (8 * k)
    return number


@compiled()
def _behind(code, at, opcodes):  # type: ignore[no-untyped-def]
    """Return the role of an opcode, and where the next one is: behind the piece where this one is cut."""
    role, size, counted, lines = opcodes[code[at]]
    end = at + 1 + size
    if counted and end <= len(code):
        count = _number(code, at + 1, counted)
        if not 0 <= count <= _MOST:
            return _UNKNOWN, end
        end += count
    for _ in range(lines):
        while end < len(code) and code[end] != 10:
            end += 1
        end += 1
    return role, end


@compiled()
def _scan(code, opcodes, puts, reads):  # type: ignore[no-untyped-def]
    """Write which numbers are read; return where it came to, what it ends with, and how many there are."""
    at, count = 0, 0
    while at < len(code):
        role, end = _behind(code, at, opcodes)
        if end > len(code) and role != _UNKNOWN:
            break
        number = _number(code, at + 1, end - at - 1) if role == _GET or (role == _PUT and end > at + 1) else puts[0]
        if role == _UNKNOWN or (role == _PUT and number != puts[0]) or (role == _GET and number >= puts[0]):
            return at, _OTHER, count
        if role == _PUT:
            puts[0] += 1
        elif role == _GET:
            reads[count] = number
            count += 1
        at = end
        if role == _STOP:
            return at, _ENDED, count
    return at, _GOES_ON, count


@compiled()
def _rewrite(code, opcodes, counts, wanted, last, slots, free, out):  # type: ignore[no-untyped-def]
    """Write a piece with other numbers; return where it came to, what it ends with, and how many bytes are written.

    Args:
        code: (n,) bytes.
        opcodes: (256, 4).
        counts: what was put and read before, how many of ``wanted`` were put, how many slots are free, and were used.
        wanted: (m,) the numbers that are read, sorted.
        last: (m,) which reading is the last of each.
        slots: (m,) their numbers now.
        free: (m,) numbers that can be used again.
        out: (5 * n,) bytes.
    """
    at, size = 0, 0
    while at < len(code):
        role, end = _behind(code, at, opcodes)
        if end > len(code):
            break
        if role == _PUT:
            size = _put(counts, wanted, slots, free, out, size)
        elif role == _GET:
            place = np.searchsorted(wanted, _number(code, at + 1, end - at - 1))
            size = _write(out, size, _LONG_GET, slots[place])
            if last[place] == counts[1]:
                free[counts[3]] = slots[place]
                counts[3] += 1
            counts[1] += 1
        elif role != _FRAME:  # whose length would be another
            out[size : size + end - at] = code[at:end]
            size += end - at
        at = end
        if role == _STOP:
            return at, _ENDED, size
    return at, _GOES_ON, size


@compiled()
def _put(counts, wanted, slots, free, out, size):  # type: ignore[no-untyped-def]
    """Write what puts an object into the memo, where it is read again; return how many bytes are written."""
    place = counts[2]
    if place < len(wanted) and wanted[place] == counts[0]:
        if counts[3] > 0:
            counts[3] -= 1
            slots[place] = free[counts[3]]
        else:
            slots[place] = counts[4]
            counts[4] += 1
        counts[2] += 1
        size = _write(out, size, _LONG_PUT, slots[place])
    counts[0] += 1
    return size


@compiled()
def _write(out, size, opcode, number):  # type: ignore[no-untyped-def]
    out[size] = opcode
    for k in range(4):
        out[size + 1 + k] = (number >> (8 * k)) & 255
    return size + 5
