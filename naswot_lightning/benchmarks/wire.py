"""The fields of a protobuf message, read from its bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: struct.Struct("<d"), _FIXED32: struct.Struct("<f")}
_LONGEST_VARINT = 10


def fields_of(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Yield number and value of each field, in the order of the message.

    A varint is an int of 64 bits without sign; what is fixed in width is read as a double or float.

    Raises:
        ValueError: the bytes are no message.

    >>> list(fields_of(bytes([0x10, 0xAC, 0x02])))
    [(2, 300)]
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            whole, place = _varint(message, place)
            yield number, whole
        elif kind in _FIXED:
            yield number, _FIXED[kind].unpack(_part(message, place, _FIXED[kind].size))[0]
            place += _FIXED[kind].size
        elif kind == _BYTES:
            length, place = _varint(message, place)
            yield number, _part(message, place, length)
            place += length
        else:
            raise ValueError(f"a field of the unknown kind {kind}")


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Return the number at a place, and the place behind it."""
    number = 0
    for count, byte in enumerate(message[place : place + _LONGEST_VARINT]):
        number |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return number, place + count + 1
    raise ValueError("a number without an end")


def _part(message: bytes, place: int, length: int) -> bytes:
    part = message[place : place + length]
    if len(part) != length:
        raise ValueError("a field that ends early")
    return part
