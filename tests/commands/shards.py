"""Shards of a small search, and what a merge of them is asked."""

import contextlib
import io
import json
from pathlib import Path

import yaml

from naswot_lightning.cli.merge import PROG, main
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from tests.commands.ends import contents
from tests.search.runs import QUICK, rows_of

NOISE = {**QUICK, "dataset": "noise", "batch_size": 4}
PARTS = 3


def score(folder, parts=PARTS, **options):
    """Score the whole search and each of its shards, in folders of their own."""
    for number in range(1, parts + 1):
        run_search(SearchConfig(run_dir=str(folder / f"part{number}"), shard=f"{number}/{parts}", **NOISE | options))
    run_search(SearchConfig(run_dir=str(folder / "whole"), **NOISE | options))


def merge(*words, mode="disabled"):
    return main([*map(str, words), "--wandb.mode", mode])


def parts_of(folder, parts=PARTS):
    return [folder / f"part{number}" for number in range(1, parts + 1)]


def change(folder, **settings):
    saved = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**saved, **settings}))


def assert_refused(message, *words):
    """One line that holds the message, and nothing is touched."""
    error = io.StringIO()
    before = contents(Path.cwd())
    with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
        assert merge(*words) == 2, error.getvalue()
    assert error.getvalue().count("\n") == 1
    assert message in error.getvalue()
    assert error.getvalue().startswith(f"{PROG}: error: ")
    assert contents(Path.cwd()) == before


def rewrite(part, **values):
    rows = [{**row, **values} for row in rows_of(part)]
    (part / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
