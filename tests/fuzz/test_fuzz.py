"""One damaged file per reader, and what the fuzz has found; ``make faults`` runs the fuzz itself."""

import json
import random

from naswot_lightning.errors import UserError
from naswot_lightning.spaces import SpaceError
from tests.fuzz.__main__ import MOST_CHARACTERS, is_short_line, read
from tests.fuzz.readers import READERS


def made(name, seed=0):
    rng = random.Random(seed)
    return {file: READERS[file].make(rng) for file in (name, *READERS[name].needs)}


def test_every_reader_reads_a_valid_file_and_refuses_a_damaged_one(tmp_path):
    for number, name in enumerate(READERS):
        files = made(name)
        assert read(name, files, tmp_path / str(number)).kind == "result", name
        ending = read(name, {**files, name: files[name][:-1] + b"\0\xff"}, tmp_path / f"{number} damaged")
        assert ending.kind != "fault", f"{name}: {ending.text}"


def test_message_of_an_error_is_one_line_whatever_it_quotes():
    assert is_short_line("a line")
    for message in ("", "two\nlines", "\x1b[2J", "\udcff", "x" * MOST_CHARACTERS):
        assert not is_short_line(message)
    for kind in (UserError, SpaceError):
        assert str(kind("no\nfile\x1b \udcff")) == "no\\nfile\\x1b \\udcff"
        assert len(str(kind("\n" * 1_000_000))) < 2_000
        assert str(kind("x" * 5_000 + " and the cure")).endswith(" and the cure")


def changed_json(change):
    def damage(content):
        value = json.loads(content)
        change(value)
        return json.dumps(value).encode()

    return damage


FOUND = [
    ("picks/1-x/retry.yaml", lambda _: b"accumulate: no\n", "accumulate: False, expected a whole number"),
    ("picks/1-x/config.yaml", lambda text: text.replace(b"\nprobe_split: ", b"\nprobe_split: x"), "are damaged"),
    ("measured/ablation.jsonl", lambda content: b"{}\n" + content, "ablation.jsonl, line 1: "),
    ("picks/1-x/trajectory.csv", lambda _: b"step,epoch,score,status\n1,1e300,3.5,ok\n", "is not a valid table"),
    ("benchmark_evidence.json", changed_json(lambda known: known["correlations"].pop("score_init")), "score_init"),
    (
        "benchmark_evidence.json",
        changed_json(lambda known: known["correlations"]["macs"]["spearman_rho"].update(low=None)),
        "an interval with one end",
    ),
    *(
        (
            "picks/1-x/result.json",
            changed_json(lambda row, change=change: row.update(change)),
            "is not a valid JSON object",
        )
        for change in ({"score_init": 1e308}, {"test_acc": 1.5}, {"best_val_acc": -0.1}, {"score_final": 1e41})
    ),
]


def test_faults_that_the_fuzz_found_are_errors(tmp_path):
    for number, (name, damage, message) in enumerate(FOUND):
        files = made(name, seed=5)
        ending = read(name, {**files, name: damage(files[name])}, tmp_path / str(number))
        assert ending.kind == "error", (name, number, ending)
        assert message in ending.text, (name, number, ending)


def test_texts_of_a_result_are_no_controls_of_the_terminal(tmp_path):
    files = made("picks/1-x/result.json")
    odd = {"space": r"$\frac{1$", "dataset": "x" * 5_000 + "\x1b[2J", "test_set": "$", "canonical": "1\n"}
    content = changed_json(lambda row: row.update(odd))(files["picks/1-x/result.json"])
    ending = read("picks/1-x/result.json", {**files, "picks/1-x/result.json": content}, tmp_path)
    assert ending.kind == "result", ending
