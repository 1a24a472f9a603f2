"""README and docs: their fenced blocks, their commands, and how each command is run here."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench.__main__ import _PARTS as BENCH_PARTS
from naswot_lightning import spaces
from naswot_lightning.cli import COMMANDS, run_named
from naswot_lightning.cli.parser import parse
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig, TrainConfig
from naswot_lightning.report.settings import ReportConfig
from naswot_lightning.reproduce import RESULTS
from naswot_lightning.study.settings import StudyConfig
from tests.conftest import ROOT
from tests.training.runs import train_here

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# Words that follow each other, and what a command is run with here in their place.
SMALLER = {
    "--dataset cifar10 cifar100 imagenet16-120": "--dataset digits",
    "--dataset cifar10": "--dataset digits",
    "--dataset digits --samples 20 --workers 2": "--dataset digits --samples 1",
    "--space nasbench101 --recipe nasbench101-108": "--space nasbench101:stem_channels=5 --epochs 1",
    "convert nasbench_full.tfrecord": "convert cells.tfrecord",  # of invented figures
    "--samples all --precision": "--samples 3 --precision",  # of NAS-Bench-201
    "--recipe nasbench201-12": "--recipe nasbench201-12 --epochs 1",
    "--seeds 777,888,999": "--seeds 777",
    "--searches 50": "--searches 2 --evaluations 10",
    "figure4 --benchmark DARTS.npz ENAS.npz PNAS.npz": (
        "figure4 --benchmark DARTS.npz --samples 3 --scores naswot params"
    ),
    "figure5 --benchmark nasbench201.npz --dataset cifar100": (
        "figure5 --benchmark nasbench201.npz --dataset digits --samples 2 --batch_sizes 4 8"
    ),
    "figure10 --benchmark DARTS_fix-w-d.npz": "figure10 --benchmark DARTS_fix-w-d.npz --samples 3",
}
# The largest value that an option has here.
_MOST = {"--samples": 6, "--epochs": 1, "--top": 1, "--batch_size": 32, "--image_size": 32}
# As the same commands in a shell are run here: they go on from each other.
_LIMITS = {f"limit_{part}_batches": count for part, count in (("train", 2), ("val", 1), ("test", 1))}
_SHORT = f"epochs=1, early_points=1, probe_batch_size=16, trainer={_LIMITS}"
SMALLER_IN_PYTHON = {
    "samples=100": "samples=6", "batch_size=128": "batch_size=32", "batch_size=64": "batch_size=32",
    "ranking.top(3)": "ranking.top(1)", "epochs=12": _SHORT, "epochs=3": _SHORT,
}  # fmt: skip
# What a command has beside, unless the page says otherwise.
BESIDE = {
    "search": "--samples 6 --batch_size 16 --wandb.mode disabled",
    "train": "--batch_size 32 --probe_batch_size 16 --trainer.limit_train_batches 2 --trainer.limit_val_batches 1 "
    "--trainer.limit_test_batches 1 --early_points 1 --wandb.mode disabled",
    "merge": "--wandb.mode disabled",
    "reproduce": "--batch_size 8 --workers 1",
}
# Those that take more than a few seconds, where they are the first of their page: run by `make test-slow` alone.
LONG_AS_FIRST = (
    "--engine ray", "--engine slurm", "--evaluator train", "naswot study", "naswot reproduce", "--figure figure5",
    "train --config figure6", "report --run_dir runs/figure6", "--run_dir runs/phone",
)  # fmt: skip
# Commands that are read, not run: they need the network, a data set, a cluster, a GPU, a viewer, a library of the
# reader's, or trained picks; make and bench have tests of their own.
NOT_RUN = (
    "make", "pip install", "python -m bench", ".venv/bin/wandb", "--devices 2", "--accelerator gpu",
    "--split_file cifar100-test-split.txt", "--run_dir runs/cifar100", "--dataset hf:saved/beans",
    "--slurm.partition gpu", "--slurm.partition cpu", "ray start", "export RAY_ADDRESS=auto",
    "--samples 15000 --engine ray", "naswot study --run_dir runs/mine", "my_models.timm_family",
)  # fmt: skip
# Files that a command names and the reader brings.
OF_THE_READER = {"cifar100-test-split.txt"}
SETTINGS = {
    "search": SearchConfig, "train": TrainConfig, "study": StudyConfig, "report": ReportConfig, "compare": ReportConfig,
}  # fmt: skip


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, its text, and the text of the page before it."""

    language: str
    text: str
    before: str

    @property
    def file(self) -> str | None:
        """The file that the block is, where its first line or the line before it says so."""
        named = re.match(r"# (\w+\.py)\n", self.text) or re.search(r"Save this as `(\w+\.py)`[^\n]*:\n+\Z", self.before)
        return named and named[1]

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [Block(each[1], each[2], text[: each.start()]) for each in found]


def inline_commands(page: Path) -> list[list[str]]:
    """Return the words of commands that stand in the text of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"`((?:python|pip install|pytest|make|\.venv/bin/\w+)\s[^`]+)`", text)
    return [shlex.split(command) for command in found if "PATH/" not in command]


def _find(words: Sequence[str], wanted: str) -> int | None:
    """Return where the words of ``wanted`` follow each other; None where they do not."""
    parts = wanted.split()
    places = (place for place in range(len(words)) if list(words[place : place + len(parts)]) == parts)
    return next(places, None)


def is_among(table: Iterable[str], words: Sequence[str]) -> bool:
    return any(_find(words, wanted) is not None for wanted in table)


def smaller(words: Sequence[str]) -> list[str]:
    """Return a command as it is run here."""
    words = list(words)
    for wanted, instead in SMALLER.items():
        if (place := _find(words, wanted)) is not None:
            words[place : place + len(wanted.split())] = instead.split()
    if "--print_config" in words:
        return words
    for place, (option, value) in enumerate(pairwise(words), start=1):
        if option in _MOST and value.isdecimal():
            words[place] = str(min(int(value), _MOST[option]))
    beside = BESIDE.get(words[1], "").split() if words[0] == "naswot" else []
    pairs = zip(beside[::2], beside[1::2], strict=True)
    return words + [word for option, value in pairs if option not in words for word in (option, value)]


def read(words: Sequence[str]) -> None:
    """Look up the names in a command that is not run."""
    match list(words):
        case ["naswot" | ".venv/bin/naswot", "reproduce", result, *options]:
            parse(RESULTS[result].settings, options, "naswot reproduce")
        case ["naswot" | ".venv/bin/naswot", command, *options]:
            assert command in COMMANDS, command
            if command in SETTINGS:
                parse(SETTINGS[command], options, f"naswot {command}")
        case ["python", "-m", "bench", *parts]:
            assert set(parts) <= {*BENCH_PARTS, "gpu"}
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case ["pip", "install", *_, what] if "[" in what:
            project = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2]
            named = what.partition("[")[2].removesuffix("]").split(",")
            assert set(named) <= set(re.findall(r"^(\w+) = \[", project, re.MULTILINE)), what
    for word in words:
        if re.search(r"\.(py|yaml|csv|txt)$", word) and not word.startswith("runs/") and word not in OF_THE_READER:
            assert (ROOT / word).exists() or Path(word).exists(), word


def read_script(text: str) -> None:
    """Check the shell's grammar of a script that is not run, and read the commands of ours in it."""
    subprocess.run(["sh", "-n", "-c", text], check=True)
    found = re.findall(r"naswot ((?:search|train)[^\n\"&]*)", text)
    assert found
    for command in found:
        read(["naswot", *shlex.split(command.replace("$i", "1"))])


def forget_trust() -> None:
    """Be a new process so far as what the user trusts is concerned."""
    spaces.own_code._trusted.clear()
    for name in [name for name in spaces._made if "." in name]:
        del spaces._made[name]


def run(words: Sequence[str]) -> None:
    """Run a command of a page in the working directory; it must end well."""
    forget_trust()
    match smaller(words):
        case ["naswot", "search", *options]:
            _call(lambda: run_search(parse(SearchConfig, options, "naswot search")))
        case ["naswot", "train", *options]:
            _call(lambda: train_here(parse(TrainConfig, options, "naswot train")))
        case ["naswot", command, *options] if command in COMMANDS:
            _call(lambda: run_named(command, options))
        case ["cat" as program, *files]:
            subprocess.run([program, *files], check=True, stdout=subprocess.DEVNULL)
        case other:
            raise AssertionError(f"{shlex.join(other)}: neither run nor among NOT_RUN")


def _call(command: Callable[[], int]) -> None:
    try:
        code = command()
    except SystemExit as end:  # of --print_config
        code = end.code
    assert code in (0, None)


def run_program(code: str, names: dict[str, object]) -> None:
    """Run a block of Python with the names of those above it, or in a process of its own where it changes its process.

    Later blocks of a page go on from earlier ones, as the cells of a notebook do.
    """
    for wanted, instead in SMALLER_IN_PYTHON.items():
        code = code.replace(wanted, instead)
    if "tune_process()" not in code:
        exec(compile(code, "<page>", "exec"), names)
        return
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
