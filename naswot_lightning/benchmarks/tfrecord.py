"""The records of a ``.tfrecord``: each with its length, and a checksum of both, without TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from naswot_lightning.errors import UserError
from naswot_lightning.score.compiled.jit import compiled

_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_LONGEST = 1 << 24  # bytes of a record; those of NAS-Bench-101 are of a few hundred
_POLYNOMIAL = 0x82F63B78  # of CRC-32C, its bits reversed
_MASK = 0xA282EAD8


def _make_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


_TABLE = _make_table()


@compiled()
def _remainder(content: np.ndarray, table: np.ndarray) -> int:
    crc = np.uint32(0xFFFFFFFF)
    for byte in content:
        crc = table[(crc ^ byte) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    return crc ^ np.uint32(0xFFFFFFFF)  # type: ignore[return-value]  # compiled


def masked_crc(content: bytes) -> int:
    """Return the CRC-32C as the format stores it, rotated and shifted by a constant.

    >>> hex(masked_crc(b"123456789"))  # the CRC itself is 0xe3069283
    '0xc78ab0e5'
    """
    crc = int(_remainder(np.frombuffer(content, np.uint8), _TABLE))
    return (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF


def read_tfrecord(path: Path) -> Iterator[bytes]:
    """Yield the content of each record.

    Raises:
        UserError: a checksum is another, or the file ends within a record.
    """
    with open(path, "rb") as file:
        number = 0
        while head := file.read(_LENGTH.size + _CHECKSUM.size):
            number += 1
            length = _LENGTH.unpack(_checked(path, number, head, _LENGTH.size))[0]
            if length > _LONGEST:
                raise _damaged(path, number, f"{length:,} bytes long, more than {_LONGEST:,}")
            yield _checked(path, number, file.read(length + _CHECKSUM.size), length)


def _checked(path: Path, number: int, written: bytes, length: int) -> bytes:
    """Return the first ``length`` bytes where the checksum behind them is theirs."""
    if len(written) != length + _CHECKSUM.size:
        raise _damaged(path, number, "cut short")
    content = written[:length]
    if _CHECKSUM.unpack(written[length:])[0] != masked_crc(content):
        raise _damaged(path, number, "not what its checksum says")
    return content


def _damaged(path: Path, number: int, reason: str) -> UserError:
    return UserError(f"{path}: damaged, record {number:,} is {reason}; get it anew")
