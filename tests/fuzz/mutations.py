"""From a valid file to a hostile one: wrong, missing, absurd, endless; each is drawn by the generator alone."""

import copy
import io
import json
import random
import re
import zipfile

import numpy as np
import yaml

from naswot_lightning.storage.foreign import FAULTS
from naswot_lightning.storage.records import parse_yaml

_HOLE = "@@HOLE@@"  # where a token goes that no library writes
_DEEP = 100_000
_LONG = 200_000

TOKENS = (
    "NaN", "-Infinity", "1e400", "1e308", "5e-324", "9" * 5_000, "0." + "3" * 5_000, str(2**63), str(-(2**63)), "-1",
    "0", "1.5", "1000000000000", "true", "null", '""', '"x"', '"1"', "[]", "{}", '[1, "a", null]', '"\\ud800"',
    '"\\u0000"', '"\\u001b[31m"', '"\\n\\n"', '"../../../victim"', '"/dev/zero"', f'"{"x" * _LONG}"',
    "[" * _DEEP + "]" * _DEEP, f"[{','.join(['1'] * 50_000)}]", "[" * 60 + "]" * 60,
)  # fmt: skip
_YAML_TOKENS = (
    ".nan", "-.inf", "1.0e+400", "0x" + "f" * 5_000, "9:" * 200 + "9.5", "190:20:30", "2001-99-99", "0000-00-00", "=",
    "<<", "~", "*a", "&a [*a]", "!!python/object/apply:os.getcwd []", "!!binary x", "!!set {a, b}", "!!bool x",
    "!!timestamp x", "!mine x", "? [a]", "{{a: 1}: 1}", "|", "'", "%", "@", "- a", "yes", "1_000", "0x",
)  # fmt: skip
_PLAIN_TOKENS = (
    "nan", "-inf", "1e400", "9" * 5_000, "999999999999", "1.5", "-1", "1_0", "٣", "", " ", "x", "x" * _LONG, "\0",
    "\ud800", "\x1b[31m", "\u2028", "\r", '"', ",", "|", "~", ":", ";", "=", "+", "%s", "../..", "None", "5e-324",
)  # fmt: skip
_KEYS = ("", "x", "__class__", "\ud800", "\0", "k" * _LONG, "more", "rank", "score_std", "1", "trainer", "self")


def mutated(rng: random.Random, content: bytes, suffix: str) -> bytes:
    """A hostile version of a file's content; one of twenty is left as it is."""
    if rng.random() < 0.05:
        return content
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        content = _once(rng, content, suffix)
    return content


def _once(rng: random.Random, content: bytes, suffix: str) -> bytes:
    structured = _STRUCTURED.get(suffix)
    if structured is not None and rng.random() < 0.7:
        try:
            return structured(rng, content)
        except (OSError, *FAULTS):  # damaged by the mutation before
            pass
    return _damaged(rng, content)


def _json(rng: random.Random, content: bytes) -> bytes:
    value, token = _with_hole(rng, json.loads(content)), rng.choice(TOKENS)
    return json.dumps(value).replace(f'"{_HOLE}"', token).encode()


def _yaml(rng: random.Random, content: bytes) -> bytes:
    value, token = _with_hole(rng, parse_yaml(content.decode())), rng.choice(rng.choice((TOKENS, _YAML_TOKENS)))
    text = yaml.safe_dump(value, sort_keys=False, width=10**9)
    return text.replace(f"'{_HOLE}'", token).encode("utf-8", "surrogatepass")


def _json_lines(rng: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    number = rng.randrange(max(len(lines) - 1, 1))
    return b"\n".join([*lines[:number], _json(rng, lines[number]), *lines[number + 1 :]])


def _text(rng: random.Random, content: bytes) -> bytes:
    """Put a token in place of a number or a word, or anywhere."""
    text, token = content.decode(), rng.choice(_PLAIN_TOKENS)
    found = [each.span() for each in re.finditer(rng.choice((r"\d+", r"[a-z]+", r"[\d.]+", r"\W", r"[^|]+")), text)]
    start, end = rng.choice(found if found and rng.random() < 0.8 else [[rng.randrange(len(text) + 1)] * 2])
    return (text[:start] + token + text[end:]).encode("utf-8", "surrogatepass")


def _npz(rng: random.Random, content: bytes) -> bytes:
    """Another archive: a part is another array, holds other bytes, has another name, or is left out."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(parts))
    part, written, archived = parts.pop(name), io.BytesIO(), io.BytesIO()
    array = np.lib.format.read_array(io.BytesIO(part))
    if array.dtype == np.uint8:  # a text
        array = np.frombuffer(_json(rng, array.tobytes()), np.uint8)
    else:
        array.flat[rng.randrange(array.size)] = rng.choice((np.nan, -np.inf, 3e38, 1e-45, 0.0, -1.0))
        array = rng.choice((array, array, array.astype(np.float64), array[:0], array[..., None], array[0, 0]))
    np.lib.format.write_array(written, array)
    parts |= rng.choice(({}, {"../x.npy": part}, {name: _damaged(rng, part)}, *[{name: written.getvalue()}] * 5))
    with zipfile.ZipFile(archived, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, text in parts.items():
            archive.writestr(each, text)
    return archived.getvalue()


def _with_hole(rng: random.Random, value: object) -> object:
    """The same value with a hole, without a part, with one more, or with a key of another name."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    if not places:
        return _HOLE
    parent, key = rng.choice(places)
    change = rng.randrange(6)
    if change == 0:
        del parent[key]
    elif change == 1 and isinstance(parent, dict):
        parent[rng.choice(_KEYS)] = rng.choice((_HOLE, parent.pop(key)))
    elif change == 2:
        other, name = rng.choice(places)
        parent[key] = copy.deepcopy(other[name])
    else:
        parent[key] = _HOLE
    return value


def _places(value: object):
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _damaged(rng: random.Random, content: bytes) -> bytes:
    """Cut, change or replace bytes, whatever they mean."""
    start = rng.randrange(len(content) + 1)
    lines = content.splitlines(keepends=True) or [b""]
    flipped = bytearray(content)
    for _ in range(rng.choice((1, 8, 40)) if flipped else 0):
        flipped[rng.randrange(len(flipped))] = rng.randrange(256)
    return rng.choice(
        (
            content[:start],
            content[:start] + content[start + rng.randrange(1, 40) :],
            bytes(flipped),
            content[:start] + rng.choice(_NOISE) + content[start:],
            content[:start] + rng.choice(TOKENS).encode() + content[start:],
            b"".join(rng.sample(lines, len(lines))),
            b"".join(lines[1:]),
            content * 20,
            content.replace(b"\n", rng.choice((b"\r\n", b"\r", b"", b"\n\n"))),
            content.decode("latin-1").encode("utf-16"),
            rng.choice(_OTHERS),
        )
    )


_NOISE = (
    b"\0", b"\xff", b"\xed\xa0\x80", b"\n", b"\r", b"\x1b[2J", b"\xef\xbb\xbf", b"\x85", b"\0" * 1_000, b"x" * _LONG,
    b"9" * 5_000, b'"', b"{", b"]", b",", b":", b"#", b"\t",
)  # fmt: skip
_OTHERS = (
    b"", b"\n", b"\0" * 10_000, b"null", b"[]", b"{}", b"0", b'""', b"---", b"NaN", b"[" * _DEEP, b'{"a":' * _DEEP,
    b"- " * _DEEP, b"? " * 5_000, b"\xff\xfe", b"\x80\x04]q\0.", b"PK\x03\x04", b"x" * _LONG, b"\n" * 50_000,
    b"!!python/object/apply:os.getcwd []", b"{}\n" * 1_000, b"[{}]", b"a: *a", b"a: &a [*a]", b"<<: {a: 1}", b"1: 2",
)  # fmt: skip
_STRUCTURED = {".json": _json, ".jsonl": _json_lines, ".yaml": _yaml, ".csv": _text, ".txt": _text, ".npz": _npz}
