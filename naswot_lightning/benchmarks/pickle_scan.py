"""A look at a pickle before it is unpickled: what it may ask of Python's own unpickler is bounded.

The unpickler makes a list as long as the largest number of its memo, which ten bytes can make 4 billion, and the hash
of a tuple in a tuple, a million times over, overflows the stack.
"""

from __future__ import annotations

import pickletools
from pathlib import Path
from typing import BinaryIO

import numpy as np

from naswot_lightning.errors import UserError
from naswot_lightning.score.compiled.jit import compiled
from naswot_lightning.storage.faults import damaged

_PIECE = 1 << 20  # bytes at a time
_MOST_TEXT = 1 << 26  # bytes of one text
_MOST_NESTED = 100  # tuples within each other
_MOST_UNPACKED, _LEAST_UNPACKED = 100, 1 << 20  # bytes for each of a packed file, and what any may unpack to
_NOTHING = 255  # in the memo
_PLAIN, _PUT, _GET, _MARK, _TUPLE, _STOP, _REFUSED = range(7)
_ROLES = {"q": _PUT, "r": _PUT, "p": _PUT, "\x94": _PUT, "h": _GET, "j": _GET, "g": _GET, "(": _MARK, ".": _STOP}
_ROLES |= dict.fromkeys("t)\x85\x86\x87", _TUPLE)
# What asks for code or for what is not in the file, and what no pickle of plain data has.
_ROLES |= dict.fromkeys("\x82\x83\x84PQ\x97\x98012", _REFUSED)
_GOES_ON, _ENDED, _OTHER = range(3)  # what a piece ends with: in its midst, with the pickle, before what is refused
_TOP, _MARKS, _FILLED = range(3)  # how many are on the stack, of which marks, and in the memo


def _opcodes() -> np.ndarray:
    """Return (256, 7): of each opcode what :func:`_behind` and :func:`_follow` ask for."""
    table = np.zeros((256, 7), np.int64)
    table[:, 0] = _REFUSED
    counts = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT4: 4}
    counts |= {pickletools.TAKEN_FROM_ARGUMENT4U: 4, pickletools.TAKEN_FROM_ARGUMENT8U: 8}
    for each in pickletools.opcodes:
        size, name = (0, "") if each.arg is None else (each.arg.n, each.arg.name)
        lines = (2 if "pair" in name else 1) if size == pickletools.UP_TO_NEWLINE else 0
        counted = counts.get(size, 0)
        before = [item.name for item in each.stack_before if item.name != "stackslice"]
        to_mark = "mark" in before
        pops = before.index("mark") if to_mark else len(before)
        role = _ROLES.get(each.code, _PLAIN)
        table[ord(each.code)] = role, counted or max(size, 0), counted, lines, to_mark, pops, len(each.stack_after)
    return table


_OPCODES = _opcodes()


def expect_bounded(file: BinaryIO, path: Path, content: str) -> None:
    """Read a pickle to its end, and return to its beginning.

    Args:
        file: at the beginning of a pickle; it can seek.
        path: of the file that holds it, packed or not.
        content: what it should hold, for messages.

    Raises:
        UserError: it is longer than 100 times the file, ends early, or asks for more memory or a deeper stack than
            its content needs.
    """
    begin, most = file.tell(), max(_MOST_UNPACKED * path.stat().st_size, _LEAST_UNPACKED)
    state = np.zeros(3, np.int64)
    stack, memo, marks = np.zeros(0, np.uint8), np.zeros(0, np.uint8), np.zeros(0, np.int64)
    rest, end, done = b"", _GOES_ON, 0
    while end == _GOES_ON:
        new = file.read(max(_PIECE, len(rest)))
        code = np.frombuffer(rest + new, np.uint8)
        stack, marks = _longer(stack, state[_TOP] + len(code)), _longer(marks, state[_MARKS] + len(code))
        memo = _longer(memo, state[_FILLED] + len(code) + 2, _NOTHING)
        at, end = _scan(code, _OPCODES, state, stack, marks, memo)
        rest, done = code[at:].tobytes(), done + len(new)
        if done > most:
            raise UserError(f"{path} is refused: it unpacks to more than {most:,} bytes; get it anew")
        if end == _OTHER or not new:
            reason = f"what no plain pickle has is at byte {done - len(rest):,}" if end == _OTHER else "it ends early"
            raise damaged(path, content, ValueError(reason))
    file.seek(begin)


def _longer(array: np.ndarray, size: int, filler: int = 0) -> np.ndarray:
    """Return an array of at least ``size``, twice as long where it has to be another."""
    if len(array) >= size:
        return array
    return np.concatenate([array, np.full(max(size, 2 * len(array)) - len(array), filler, array.dtype)])


@compiled()
def _scan(code, opcodes, state, stack, marks, memo):  # type: ignore[no-untyped-def]
    """Follow a piece of a pickle; return where it came to, and what it ends with.

    Args:
        code: (n,) bytes.
        opcodes: (256, 7).
        state: (3,) sizes, which change.
        stack: how many tuples are within each other in what the unpickler would have on its stack.
        marks: where in the stack its marks are.
        memo: the same as ``stack`` of what would be in the memo.
    """
    at = 0
    while at < len(code):
        role, end = _behind(code, at, opcodes)
        if role == _REFUSED:
            return at, _OTHER
        if end > len(code):
            break
        if role == _STOP:
            return end, _ENDED
        if not _follow(code, at, end, opcodes, state, stack, marks, memo):
            return at, _OTHER
        at = end
    return at, _GOES_ON


@compiled()
def _behind(code, at, opcodes):  # type: ignore[no-untyped-def]
    """Return the role of an opcode, and where the next one is: behind the piece where this one is cut."""
    role, size, counted, lines = opcodes[code[at], :4]
    end = at + 1 + size
    if counted and end <= len(code):
        count = _number(code, at + 1, counted)
        if not 0 <= count <= _MOST_TEXT:
            return _REFUSED, end
        end += count
    for _ in range(lines):
        while end < len(code) and code[end] != 10:
            end += 1
        end += 1
    return role, end


@compiled()
def _number(code, at, size):  # type: ignore[no-untyped-def]
    number = np.int64(0)
    for k in range(size):
        number |= np.int64(code[at + k]) << (8 * k)
    return number


@compiled()
def _follow(code, at, end, opcodes, state, stack, marks, memo):  # type: ignore[no-untyped-def]
    """Do to the stack and the memo what an opcode does; return whether a plain pickle does so."""
    role, _, _, lines, to_mark, pops, pushes = opcodes[code[at]]
    top = state[_TOP]
    if role == _MARK:
        marks[state[_MARKS]] = top
        state[_MARKS] += 1
        return True
    if role in (_PUT, _GET):
        number = _index(code, at + 1, end, lines, state[_FILLED])
        # The unpickler makes room for twice the number: it is the next, but for those who count from 1.
        if not 0 <= number <= state[_FILLED] + 1 or (role == _PUT and top == 0):
            return False
        if role == _PUT:
            state[_FILLED] += memo[number] == _NOTHING
            memo[number] = stack[top - 1]
        else:
            stack[top] = memo[number]
            state[_TOP] += 1
        return role == _PUT or memo[number] != _NOTHING
    if to_mark:
        if state[_MARKS] == 0:
            return False
        state[_MARKS] -= 1
        base = marks[state[_MARKS]] - pops
    else:
        base = top - pops
    if base < (marks[state[_MARKS] - 1] if state[_MARKS] else 0):
        return False
    nested = 0
    for k in range(base, top):
        nested = max(nested, stack[k])
    nested += role == _TUPLE
    if pushes:
        stack[base] = nested
    state[_TOP] = base + pushes
    return nested <= _MOST_NESTED


@compiled()
def _index(code, at, end, lines, following):  # type: ignore[no-untyped-def]
    """Return the number of a place in the memo: of bytes, of a line of digits, or the following one; -1 where none."""
    if at == end:
        return following
    if not lines:
        return _number(code, at, end - at)
    number = np.int64(0)
    for k in range(at, end - 1):
        if not 48 <= code[k] <= 57 or number > 1 << 40:
            return np.int64(-1)
        number = 10 * number + code[k] - 48
    return number
