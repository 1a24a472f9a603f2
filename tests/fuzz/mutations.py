"""From a valid file to a hostile one: wrong, missing, absurd, endless; each is drawn by the generator alone."""

import io
import random
import re
import zipfile

import numpy as np

_DEEP, _LONG = 100_000, 200_000
# What stands in place of a value, whatever the format: numbers, texts, lists; YAML's own; nothing.
TOKENS = (
    "NaN", "-Infinity", "1e400", "1e308", "5e-324", "9" * 5_000, "0." + "3" * 5_000, str(2**63), str(-(2**63)), "-1",
    "0", "1.5", "1000000000000", "1_0", "٣", "true", "null", "None", "", '""', '"x"', '"1"', "x", "x" * _LONG, "[]",
    "{}", '[1, "a", null]', '"\\ud800"', '"\\u0000"', '"\\u001b[31m"', '"\\n\\n"', '"../../../victim"', '"/dev/zero"',
    f'"{"x" * _LONG}"', "[" * _DEEP + "]" * _DEEP, f"[{','.join(['1'] * 50_000)}]", ".nan", "-.inf", "1.0e+400",
    "0x" + "f" * 5_000, "9:" * 200 + "9.5", "190:20:30", "2001-99-99", "=", "<<", "~", "*a", "&a [*a]",
    "!!python/object/apply:os.getcwd []", "!!binary x", "!!timestamp x", "!mine x", "? [a]", "{{a: 1}: 1}", "|", "'",
    "%", "@", "- a", "\0", "\ud800", "\x1b[31m", "\x1b[2J", "\u2028", "\r", '"', ",", ":", ";", "+", "../..", "\ufeff",
)  # fmt: skip
# A text, a number, a word, a field, a line, an object, a list, a key with its value.
_PLACES = (
    rb'"[^"]*"', rb"-?\d[\d.]*", rb"[A-Za-z_]\w*", rb"[^,:;|\n]+", rb"(?m:^)[^\n]*\n", rb"\{[^{}]*\}", rb"\[[^\[\]]*\]",
    rb'"\w+": [^,}]*,?',
)  # fmt: skip
_OTHERS = (
    b"", b"\n", b"\0" * 10_000, b"null", b"[]", b"{}", b"0", b'""', b"---", b"[" * _DEEP, b'{"a":' * _DEEP,
    b"- " * _DEEP, b"? " * 5_000, b"\xff\xfe", b"\x80\x04]q\0.", b"PK\x03\x04", b"x" * _LONG, b"\n" * 50_000,
    b"{}\n" * 1_000, b"[{}]", b"a: &a [*a]", b"<<: {a: 1}", b"1: 2",
)  # fmt: skip


def mutated(rng: random.Random, content: bytes) -> bytes:
    """A hostile version of a file's content; one of twenty is left as it is."""
    if rng.random() < 0.05:
        return content
    if zipfile.is_zipfile(io.BytesIO(content)):
        return _array_changed(rng, content)
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        content = _part_changed(rng, content)
    return content


def _part_changed(rng: random.Random, content: bytes) -> bytes:
    """Put a token, or another part, in place of a part; or damage the bytes."""
    places = [each.span() for each in re.finditer(rng.choice(_PLACES), content)]
    if not places or rng.random() < 0.3:
        return _damaged(rng, content)
    (start, end), (first, last) = rng.choice(places), rng.choice(places)
    token = rng.choice(TOKENS).encode("utf-8", "surrogatepass")
    return content[:start] + rng.choice((token, token, token, content[first:last])) + content[end:]


def _array_changed(rng: random.Random, content: bytes) -> bytes:
    """Another archive: a part has another text or shape, holds other bytes, has another name, or is left out."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(parts))
    part, written, archived = parts.pop(name), io.BytesIO(), io.BytesIO()
    array = np.lib.format.read_array(io.BytesIO(part))
    if array.dtype == np.uint8:  # a text
        array = np.frombuffer(_part_changed(rng, array.tobytes()), np.uint8)
    else:
        array.flat[rng.randrange(array.size)] = rng.choice((np.nan, -np.inf, 3e38, 1e-45, 0.0, -1.0))
        array = rng.choice((array, array, array.astype(np.float64), array[:0], array[..., None], array[0]))
    np.lib.format.write_array(written, array)
    parts |= rng.choice(({}, {"../x.npy": part}, {name: _damaged(rng, part)}, *[{name: written.getvalue()}] * 5))
    with zipfile.ZipFile(archived, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, text in parts.items():
            archive.writestr(each, text)
    return archived.getvalue()


def _damaged(rng: random.Random, content: bytes) -> bytes:
    """Cut, change or replace bytes, whatever they mean."""
    start, lines, flipped = rng.randrange(len(content) + 1), content.splitlines(keepends=True), bytearray(content)
    for _ in range(rng.choice((1, 8, 40)) if flipped else 0):
        flipped[rng.randrange(len(flipped))] = rng.randrange(256)
    return rng.choice((
        content[:start], content[:start] + content[start + rng.randrange(1, 40) :], bytes(flipped), bytes(flipped),
        content[:start] + rng.randbytes(3) + content[start:], b"".join(rng.sample(lines, len(lines))), content * 20,
        content.replace(b"\n", rng.choice((b"\r\n", b"\r", b"", b"\n\n"))), rng.choice(_OTHERS),
        content.decode("latin-1").encode("utf-16"),
    ))  # fmt: skip
