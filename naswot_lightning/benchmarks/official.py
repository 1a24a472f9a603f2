"""The official files: how large they are, where they are to be had, and what is known of their checksums."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from naswot_lightning.errors import UserError

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Official:
    """A file that the authors of a benchmark give out.

    Attributes:
        pattern: of its name.
        size: in words.
        place: where to look for it.
        sha256: of its content, where it is known.
        md5_end: the last hexadecimal digits of the MD5, which its name holds.
    """

    pattern: str
    size: str
    place: str
    sha256: str | None = None
    md5_end: str | None = None


_NATS = "the links in the README of github.com/D-X-Y/NATS-Bench"
_NASBENCH101 = "storage.googleapis.com/nasbench"
# Sizes and checksums as the READMEs of the benchmarks say.
OFFICIAL = (
    Official(
        r"NAS-Bench-201-v1_0-e61699\.pth", "2 GB", "the README of github.com/D-X-Y/NAS-Bench-201", md5_end="e61699"
    ),
    Official(
        r"NAS-Bench-201-v1_1-096897\.pth", "5 GB", "the README of github.com/D-X-Y/NAS-Bench-201", md5_end="096897"
    ),
    Official(r"NATS-tss-.*", "about 1.3 GB as a folder of 15,625 files", _NATS),
    Official(r"NATS-sss-.*", "about 1.1 GB as a folder of 32,768 files", _NATS),
    Official(
        r"nasbench_full\.tfrecord", "1.95 GB", f"{_NASBENCH101}/nasbench_full.tfrecord",
        sha256="3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c",
    ),
    Official(
        r"nasbench_only108\.tfrecord", "499 MB", f"{_NASBENCH101}/nasbench_only108.tfrecord",
        sha256="4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1",
    ),
    Official(
        r"(Amoeba|DARTS|ENAS|NASNet|PNAS|ResNe[Xx]?t|Vanilla).*\.json", "tens of MB a file",
        "nds_data.zip, which github.com/facebookresearch/nds links",
    ),
)  # fmt: skip


def expect_present(path: Path) -> None:
    """Raise :class:`UserError` where there is no such file, with its size and where to look for it."""
    if path.exists():
        return
    official = _official(path)
    if official is None:
        raise UserError(f"{path}: no such file or folder; docs/benchmarks.md says where the official ones are")
    raise UserError(f"{path}: no such file or folder; it has {official.size}, look at {official.place}")


def expect_whole(path: Path) -> None:
    """Raise :class:`UserError` where a file has the name of an official one, and another checksum."""
    official = _official(path)
    if official is None or not path.is_file():
        return
    if official.sha256 and (found := _digest(path, "sha256")) != official.sha256:
        raise UserError(_other(path, f"SHA-256 {found}, expected {official.sha256}"))
    if official.md5_end and not (found := _digest(path, "md5")).endswith(official.md5_end):
        raise UserError(_other(path, f"MD5 {found}, expected one that ends with {official.md5_end}"))


def _other(path: Path, reason: str) -> str:
    return f"{path} is not the official file ({reason}): get it anew, or, where it is your own, give it another name"


def _official(path: Path) -> Official | None:
    return next((each for each in OFFICIAL if re.fullmatch(each.pattern, path.name)), None)


def _digest(path: Path, kind: str) -> str:
    digest = hashlib.new(kind, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
