"""From a valid file to a hostile one: wrong, missing, absurd, endless; each is drawn by the generator alone."""

import copy
import csv
import io
import json
import random
import re
import zipfile
from collections.abc import Callable

import numpy as np
import yaml

from naswot_lightning.storage.foreign import FAULTS
from naswot_lightning.storage.records import parse_yaml

_HOLE = "@@HOLE@@"  # where a token goes that no library writes
_DEEP = 100_000
_LONG = 200_000

TOKENS = (
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e308", "-1e308", "5e-324", "9" * 400, "9" * 5_000,
    "-" + "9" * 5_000, "0." + "3" * 5_000, "1e" + "9" * 5_000, str(2**31), str(2**32), str(2**63 - 1), str(2**63),
    str(2**64), str(-(2**63)), "-1", "0", "1", "2", "-0.0", "1.5", "0.1", "1000000000000", "true", "false", "null",
    '""', '"x"', '"1"', '"NaN"', '"ok"', '" "', "[]", "{}", "[[]]", "[null]", '[1, "a", null]', '{"a": 1}', '{"": {}}',
    '"\\ud800"', '"\\u0000"', '"\\u001b[31m"', '"\\u2028"', '"\\n\\n"', '"../../../victim"', '"/dev/zero"',
    f'"{"x" * _LONG}"', f'"{"é" * 3_000}"', "[" * _DEEP + "]" * _DEEP, '{"a":' * _DEEP + "1" + "}" * _DEEP,
    "[" * _DEEP, f"[{','.join(['1'] * 50_000)}]", "[" * 300 + "]" * 300, "[" * 60 + "]" * 60,
)  # fmt: skip
_YAML_TOKENS = (
    ".nan", ".inf", "-.inf", "1.0e+400", "0x" + "f" * 5_000, "0b" + "1" * 5_000, "0o7", "9:" * 2_000 + "9", "190:20:30",
    "9:" * 200 + "9.5", "2001-1-1", "2001-99-99", "2001-01-01 99:99:99", "0000-00-00", "=", "<<", "~", "*a", "&a [*a]",
    "!!python/object/apply:os.getcwd []", "!!binary aGk=", "!!binary x", "!!set {a, b}", "!!omap [a: 1]", "!!int x",
    "!!float x", "!!bool x", "!!timestamp x", "!!null x", "!!map []", "!!seq {}", "!!str [a]", "!mine x", "? [a]",
    "{[a]: 1}", "{{a: 1}: 1}", "|", ">", "'", '"', "%", "@", "`", "- a", "yes", "1_000", "+1", "_", "0x", "+.", "-.",
)  # fmt: skip
_PLAIN_TOKENS = (
    "nan", "inf", "-inf", "1e400", "9" * 5_000, "-" + "9" * 5_000, "999999999999", "1.5", "-1", "-0.0", "1_0", "٣",
    "８", "", " ", "x", "x" * _LONG, "\0", "\ud800", "\x1b[31m", "\u2028", "\x85", "\r", '"', '""', "'", ",", "|", "~",
    ":", ";", "=", "+", "-", "%s", "{}", "../..", "0" * 5_000, "9" * 400, "true", "None", "1e308", "5e-324", "\ufeff",
    "\t",
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
        except (OSError, csv.Error, *FAULTS):  # damaged by the mutation before
            pass
    return rng.choice(_OF_BYTES)(rng, content)


def _json(rng: random.Random, content: bytes) -> bytes:
    value, token = _with_hole(rng, json.loads(content)), rng.choice(TOKENS)
    return json.dumps(value).replace(f'"{_HOLE}"', token).encode()


def _yaml(rng: random.Random, content: bytes) -> bytes:
    value = _with_hole(rng, parse_yaml(content.decode()))
    token = rng.choice(TOKENS if rng.random() < 0.5 else _YAML_TOKENS)
    if rng.random() < 0.3:
        return json.dumps(value).replace(f'"{_HOLE}"', token).encode()
    text = yaml.safe_dump(value, sort_keys=False, width=10**9)
    return text.replace(f"'{_HOLE}'", token).encode("utf-8", "surrogatepass")


def _json_lines(rng: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    number = rng.randrange(max(len(lines) - 1, 1))
    lines[number] = _json(rng, lines[number])
    return b"\n".join(lines)


def _csv(rng: random.Random, content: bytes) -> bytes:
    rows = list(csv.reader(io.StringIO(content.decode())))
    if not rows or not any(rows):
        raise ValueError("no table")
    row = rng.choice([row for row in rows if row])
    change = rng.randrange(5)
    if change == 0:
        del row[rng.randrange(len(row))]
    elif change == 1:
        row.insert(rng.randrange(len(row) + 1), rng.choice(_PLAIN_TOKENS))
    else:
        row[rng.randrange(len(row))] = rng.choice(_PLAIN_TOKENS)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def _text(rng: random.Random, content: bytes) -> bytes:
    """Put a token in place of a number or a word, or anywhere."""
    text, token = content.decode(), rng.choice(_PLAIN_TOKENS)
    found = list(re.finditer(rng.choice((r"\d+", r"[a-z]+", r"[\d.]+", r"\W", r"[^|]+")), text))
    if found and rng.random() < 0.8:
        place = rng.choice(found)
        return (text[: place.start()] + token + text[place.end() :]).encode("utf-8", "surrogatepass")
    position = rng.randrange(len(text) + 1)
    return (text[:position] + token + text[position:]).encode("utf-8", "surrogatepass")


def _npz(rng: random.Random, content: bytes) -> bytes:
    """Another archive: a part is another array, holds other bytes, has another name, or is left out."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(parts))
    change = rng.randrange(8)
    if change == 0:
        del parts[name]
    elif change == 1:
        parts[rng.choice(("x", "../x.npy", "\0", "header.npy"))] = parts.pop(name)
    elif change == 2:
        parts[name] = rng.choice(_OF_BYTES)(rng, parts[name])
    else:
        parts[name] = _array(rng, np.lib.format.read_array(io.BytesIO(parts[name])))
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for each, part in parts.items():
            archive.writestr(each, part)
    return changed.getvalue()


def _array(rng: random.Random, array: np.ndarray) -> bytes:
    if array.dtype == np.uint8:  # a text
        array = np.frombuffer(_json(rng, array.tobytes()), np.uint8)
    else:
        array = array.copy()
        array.flat[rng.randrange(array.size)] = rng.choice((np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, 0.0, -1.0))
        others = (array, array, array, array.astype(np.float64), array[:0], array[..., None], array.T[:1], array[0, 0])
        array = rng.choice(others)
    written = io.BytesIO()
    np.lib.format.write_array(written, array)
    return written.getvalue()


def _with_hole(rng: random.Random, value: object) -> object:
    """The same value with a hole, without a part, with one more, or with a key of another name."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    if not places:
        return _HOLE
    parent, key = rng.choice(places)
    change = rng.randrange(8)
    if change == 0:
        del parent[key]
    elif change == 1 and isinstance(parent, dict):
        parent[rng.choice(_KEYS)] = _HOLE
    elif change == 2 and isinstance(parent, dict):
        parent[rng.choice(_KEYS)] = parent.pop(key)
    elif change == 3 and len(places) > 1:
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


def _truncated(rng, content):
    return content[: rng.randrange(len(content) + 1)]


def _without_a_slice(rng, content):
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.randrange(1, 40) :]


def _flipped(rng, content):
    changed = bytearray(content)
    for _ in range(rng.choice((1, 2, 8, 40)) if changed else 0):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _inserted(rng, content):
    position = rng.randrange(len(content) + 1)
    noise = (
        b"\0", b"\xff", b"\xed\xa0\x80", b"\n", b"\r\n", b"\r", b"\x1b[2J", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x85",
        rng.randbytes(20), b"\0" * 1_000, b"x" * _LONG, b"9" * 5_000, b'"', b"{", b"]", b",", b":", b"#", b"-", b"\t",
        rng.choice(TOKENS).encode(),
    )  # fmt: skip
    return content[:position] + rng.choice(noise) + content[position:]


def _of_lines(rng, content):
    lines = content.splitlines(keepends=True) or [b""]
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    change = rng.randrange(5)
    if change == 0:
        lines[first], lines[second] = lines[second], lines[first]
    elif change == 1:
        lines.insert(second, lines[first])
    elif change == 2:
        del lines[first]
    elif change == 3:
        lines[first] = lines[first] * 50
    else:
        lines.insert(first, b"\n" * 3)
    return b"".join(lines)


def _in_another_form(rng, content):
    forms = (
        b"\xef\xbb\xbf" + content, content.replace(b"\n", b"\r\n"), content.replace(b"\n", b"\r"),
        content.replace(b"\n", b""), content.replace(b"\n", b"\n\n"), content + content, content * 20, content[::-1],
        content.upper(), content.decode("latin-1").encode("utf-16"), content + b"\n" + b"x" * _LONG,
        content.rstrip(b"\n"), b"\n" + content, b"#" + content, content.replace(b'"', b"'"),
        content.replace(b":", b"="),
    )  # fmt: skip
    return rng.choice(forms)


def _instead(rng, content):
    bomb = "a: &a [x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
    )
    others = (
        b"", b"\n", b" ", b"\0", b"\0" * 10_000, rng.randbytes(3_000), b"null", b"[]", b"{}", b"0", b"true", b'""',
        b"---", b"NaN", b"9" * 5_000, b"[" * _DEEP, b"[" * _DEEP + b"]" * _DEEP, b'{"a":' * _DEEP, b"- " * _DEEP,
        b"{" * _DEEP, b"? " * 5_000, b"a: " * 5_000, bomb.encode(), b"\xff\xfe", b"\xef\xbb\xbf", b"\x80\x04]q\0.",
        b"PK\x03\x04", b"%", b"x" * _LONG, b"!!python/object/apply:os.getcwd []", b"\n" * 50_000,
        b"{}\n" * 1_000, b"[{}]", b"[[]]",
        b"\xed\xa0\x80", b"--- 1\n--- 2\n", b"a: *a", b"a: &a [*a]", b"<<: [1]", b"<<: {a: 1}", b"=: 1",
        b"1: 2", b"null: 1", b"[1]: 2",
    )  # fmt: skip
    return rng.choice(others)


_OF_BYTES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _truncated, _without_a_slice, _flipped, _flipped, _inserted, _inserted, _of_lines, _in_another_form, _instead,
)  # fmt: skip
_STRUCTURED = {".json": _json, ".jsonl": _json_lines, ".yaml": _yaml, ".csv": _csv, ".txt": _text, ".npz": _npz}
