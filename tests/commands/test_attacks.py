"""A file of options, or an option itself, that would run a command or never end."""

import json
import os

import pytest

from tests.commands.ends import assert_one_line, contents, run
from tests.conftest import slow

SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
CALL = {"class_path": "subprocess.Popen", "init_args": {"args": "touch canary", "shell": True}}


@pytest.mark.parametrize(
    ("script", "content"),
    [
        ("train.py", {"trainer": {"profiler": CALL}}),
        ("train.py", {"trainer": {"callbacks": [CALL]}}),
        ("train.py", {"trainer": {"logger": CALL}}),
        ("train.py", {"trainer": {"plugins": [[CALL]]}}),
        ("train.py", {"trainer": {"strategy": CALL}}),
        ("train.py", {"trainer": CALL}),
        ("train.py", {"strategy": CALL}),
        ("train.py", {"wandb": CALL}),
        ("train.py", {"wandb": {"group": CALL}}),
        ("train.py", {"seeds": [CALL]}),
        ("train.py", CALL),
        ("search.py", {"space": CALL}),
        ("search.py", {"samples": CALL}),
        ("search.py", {"wandb": CALL}),
        ("search.py", CALL),
    ],
)
def test_no_value_of_a_file_is_called(tmp_path, script, content):
    (tmp_path / "c.yaml").write_text(json.dumps(content))
    assert_one_line(run(script, "--config", "c.yaml", "--run_dir", "run", cwd=tmp_path))
    assert list(contents(tmp_path)) == ["c.yaml"]


@pytest.mark.parametrize(
    "words",
    [
        ("--trainer.profiler", json.dumps(CALL)),
        ("--trainer.profiler.class_path", "subprocess.Popen", "--trainer.profiler.init_args.args", "touch canary"),
        ("--trainer.callbacks", json.dumps([CALL])),
        ("--trainer.callbacks+", json.dumps(CALL)),
        ("--trainer.logger", "subprocess.Popen"),
        ("--wandb", json.dumps(CALL)),
        ("--wandb.group", json.dumps(CALL)),
        *slow(
            ("--trainer", json.dumps({"profiler": CALL})),
            ("--trainer.profiler", "!!python/object/apply:os.system ['touch canary']"),
        ),
    ],
)
def test_no_value_of_an_option_is_called(tmp_path, words):
    given = ("--architecture", SMALL, "--epochs", 1, "--wandb.mode", "disabled", "--run_dir", "run")
    assert_one_line(run("train.py", *given, *words, cwd=tmp_path))
    assert list(contents(tmp_path)) == []


TAGS = (
    "samples: !!python/object/apply:os.system ['touch canary']\n",
    "!!python/object/new:subprocess.Popen {args: [touch, canary]}\n",
    "space: !!python/name:os.system\n",
    "? !!python/object/apply:os.system ['touch canary']\n: 1\n",
)
BOMB = (
    "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    + "".join(f"{b}: &{b} [{', '.join(10 * [f'*{a}'])}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True))
    + "samples: *j\n"
)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        *((text, "tag") for text in TAGS),
        (BOMB, "alias"),
        ("samples: &s 3\nbatch_size: *s\n", "alias"),
        ("base: &b {samples: 3}\n<<: *b\n", "alias"),
        ("samples: " + "[" * 100_000 + "]" * 100_000 + "\n", "recursion"),
        ("# " + "x" * 2_000_000 + "\n", "2,000,003 bytes"),
        ("space: 'a\0b'\n", "special characters"),
        ("seed: " + "9" * 5000 + "\n", "4300 digits"),
        ("seed: .nan\n", "no finite number"),
        ("\ud800", "utf-8"),
        ("- samples\n", "expected options"),
        ("1: 2\n", "expected options"),
        ("config: other.yaml\n", "names no other"),
        ("wandb: other.yaml\n", "wandb"),
        ("overwrite: true\n", "--overwrite"),
        ("overwrite: 'true'\n", "--overwrite"),
        ("trust: yes\n", "--trust"),
    ],
    ids=lambda value: None if len(value) > 20 else value.strip(),
)
def test_a_file_of_options_that_bombs_or_is_no_file_of_options_ends_soon_in_one_line(tmp_path, content, word):
    (tmp_path / "c.yaml").write_bytes(content.encode(errors="surrogatepass"))
    (tmp_path / "other.yaml").write_text("overwrite: true\n")
    done = run("search.py", "--config=c.yaml", "--run_dir", "run", cwd=tmp_path)
    assert_one_line(done, "--config c.yaml", word)
    assert list(contents(tmp_path)) == ["c.yaml", "other.yaml"]


def test_what_is_no_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder", "/dev/zero", "absent", "", json.dumps({"trainer": {"profiler": CALL}})):
        done = run("train.py", "--config", name, "--run_dir", "run", cwd=tmp_path, timeout=2)
        assert_one_line(done, "no such file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]


def test_a_second_file_is_checked_like_the_first(tmp_path):
    (tmp_path / "good.yaml").write_text("samples: 3\n")
    (tmp_path / "bad.yaml").write_text("overwrite: true\n")
    for words in (("--config", "good.yaml", "--config", "bad.yaml"), ("--config=bad.yaml", "--config=good.yaml")):
        assert_one_line(run("search.py", *words, cwd=tmp_path), "--config bad.yaml: overwrite counts only")
