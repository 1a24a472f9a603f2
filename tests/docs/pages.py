"""README and docs: their fenced blocks, their commands, and how each command is run here."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from bench.__main__ import _PARTS as BENCH_PARTS
from naswot_lightning import spaces
from naswot_lightning.cli import COMMANDS
from naswot_lightning.cli.parser import parse
from naswot_lightning.cli.search import run_search
from naswot_lightning.cli.train import train_and_compare
from naswot_lightning.config import SearchConfig, TrainConfig
from naswot_lightning.report.settings import ReportConfig
from naswot_lightning.reproduce import RESULTS
from naswot_lightning.study.settings import StudyConfig
from naswot_lightning.training.pick import train_pick
from naswot_lightning.training.plan import plan_training
from naswot_lightning.training.progress import Outcome
from naswot_lightning.training.run import TrainPick
from naswot_lightning.training.trainer import silence_lightning
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# Pages whose blocks another test runs.
RUN_ELSEWHERE = {"extending.md": "tests/docs/test_extending.py"}

# What a command is run with here, in place of what the page says: words, for words that follow each other.
SMALLER = {
    "--dataset cifar10 cifar100 imagenet16-120": "--dataset digits",
    "--dataset cifar10": "--dataset digits",
    "--samples 1000": "--samples 8",
    "--samples 100": "--samples 3",
    "--epochs 12 --dataset digits --samples 20 --workers 2": "--epochs 1 --dataset digits --samples 1",
    "--epochs 12 --batch_size 64": "--epochs 1 --batch_size 32",
    "--samples 50": "--samples 4",
    "--space nasbench101 --recipe nasbench101-108": "--space nasbench101:stem_channels=5 --epochs 1",
    "convert nasbench_full.tfrecord": "convert cells.tfrecord",  # of invented figures
    "--samples all --precision": "--samples 3 --precision",  # of NAS-Bench-201
    "--image_size 224": "--image_size 32",
    "--epochs 200": "--epochs 1",
    "my_images/test --csv": "my_images/test/0 --csv",
    "--epochs 10": "--epochs 1",
    "--epochs 8": "--epochs 1",
    "--recipe nasbench201-12": "--recipe nasbench201-12 --epochs 1",
    "--top 3": "--top 1",
    "--top 6": "--top 1",
    "--top 20": "--top 2",
    "--seeds 777,888,999": "--seeds 777",
    "--batch_size 64": "--batch_size 32",
    "--searches 50": "--searches 2 --evaluations 10",
    "figure4 --benchmark DARTS.npz ENAS.npz PNAS.npz": (
        "figure4 --benchmark DARTS.npz --samples 3 --scores naswot params"
    ),
    "figure5 --benchmark nasbench201.npz --dataset cifar100": (
        "figure5 --benchmark nasbench201.npz --dataset digits --samples 2 --batch_sizes 4 8"
    ),
    "figure10 --benchmark DARTS_fix-w-d.npz": "figure10 --benchmark DARTS_fix-w-d.npz --samples 3",
}
SMALLER_IN_PYTHON = {
    "samples=100": "samples=3", "ranking.top(3)": "ranking.top(1)", "epochs=12": "epochs=1", "epochs=3": "epochs=1",
}  # fmt: skip
# What a command has beside, unless the page says otherwise.
BESIDE = {
    "search": {"--samples": "8", "--batch_size": "16", "--wandb.mode": "disabled"},
    "train": {
        "--batch_size": "32",
        "--probe_batch_size": "16",
        "--trainer.limit_train_batches": "2",
        "--trainer.limit_val_batches": "1",
        "--trainer.limit_test_batches": "1",
        "--early_points": "1",
        "--wandb.mode": "disabled",
    },
}
# Commands that take too long for every day: read by the default tests, run by `make test-slow`.
LONG = {
    "naswot study --run_dir runs/mine": "five trained picks",
    "naswot reproduce figure4": "networks of NDS",
    "naswot reproduce figure5": "hundreds of scores",
    "naswot reproduce figure10": "networks of NDS",
    "naswot report --run_dir runs/known --figure figure5": "hundreds of scores",
    "naswot report --run_dir runs/figure6": "three trained picks",
    "train --config figure6 --run_dir": "three trainings",
}
# Commands that are read, not run: those that hold these words, and why.
NOT_RUN = {
    "make": "these tests are part of make test; tests/commands runs make quickstart, and make where it cannot install",
    "pip install": "the network; make installs the same extras",
    "python -m bench": "takes minutes; tests/bench runs its parts",
    ".venv/bin/wandb": "a viewer in the terminal, or a server in the network",
    "--devices 2": "several devices: tests/training/test_distributed.py",
    "--accelerator gpu": "a GPU",
    "--split_file cifar100-test-split.txt": "the data set and the benchmark's lists",
    "--run_dir runs/cifar100": "the data set",
    "--dataset hf:saved/beans": "the reader's data set, and the extra [hf]: tests/data/test_own.py",
    "--slurm.partition gpu": "a cluster of SLURM",
    "--slurm.partition cpu": "a cluster of SLURM",
    "ray start": "several machines: tests/execution/test_ray.py starts a cluster",
    "export RAY_ADDRESS=auto": "several machines",
    "--samples 15000 --engine ray": "several machines",
}


FURTHER = {"merge": ["--wandb.mode", "disabled"], "reproduce": ["--batch_size", "8", "--workers", "1"]}
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


def find(words: Sequence[str], wanted: str) -> int | None:
    """Return where the words of ``wanted`` follow each other; None where they do not."""
    parts = wanted.split()
    places = (place for place in range(len(words)) if list(words[place : place + len(parts)]) == parts)
    return next(places, None)


def is_among(table: Iterable[str], words: Sequence[str]) -> bool:
    return any(find(words, wanted) is not None for wanted in table)


def smaller(words: Sequence[str]) -> list[str]:
    """Return a command as it is run here."""
    words = list(words)
    for wanted, instead in SMALLER.items():
        if (place := find(words, wanted)) is not None:
            words[place : place + len(wanted.split())] = instead.split()
    if "--print_config" in words:
        return words
    beside = BESIDE.get(words[1], {}) if words[0] == "naswot" else {}
    return words + [word for option, value in beside.items() if option not in words for word in (option, value)]


def read(words: Sequence[str]) -> None:
    """Look up the names in a command that is not run."""
    match list(words):
        case ["naswot" | ".venv/bin/naswot", command, *options]:
            _read_command(command, options)
        case ["python", "-m", "bench", *parts]:
            assert set(parts) <= set(BENCH_PARTS)
        case ["python" | "pytest", *options]:
            assert any((ROOT / option).is_file() for option in options), f"{options}: no file of ours"
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case other:
            _read_of_others(other)
    for word in words:
        if re.search(r"\.(py|yaml|csv|txt)$", word) and word not in OF_THE_READER:
            assert (ROOT / word).exists(), word


def read_script(text: str) -> None:
    """Check the shell's grammar of a script that is not run, and read the commands of ours in it."""
    subprocess.run(["sh", "-n", "-c", text], check=True)
    found = re.findall(r"naswot ((?:search|train)[^\n\"&]*)", text)
    assert found
    for command in found:
        read(["naswot", *shlex.split(command.replace("$i", "1"))])


def _read_command(command: str, options: Sequence[str]) -> None:
    assert command in COMMANDS, command
    if command == "reproduce" and options:
        parse(RESULTS[options[0]].settings, options[1:], "naswot reproduce")
    elif command in SETTINGS:
        parse(SETTINGS[command], options, f"naswot {command}")


def _read_of_others(words: list[str]) -> None:
    match words:
        case ["pip", "install", "onnx", "onnxscript"] | ["pip", "install", "."]:
            pass
        case ["pip", "install", "-e", what] | ["pip", "install", what]:
            name, named = re.fullmatch(r"([\w.-]+)\[([\w,]+)\]", what).groups()
            assert name in (".", "naswot-lightning")
            project = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2]
            assert set(named.split(",")) <= set(re.findall(r"^(\w+) = \[", project, re.MULTILINE))
        case ["ray", "start", *_] | [".venv/bin/wandb", _, _]:
            pass
        case ["export", setting]:
            assert f'"{setting.split("=")[0]}"' in (ROOT / "naswot_lightning/execution/ray.py").read_text()
        case other:
            raise AssertionError(f"{shlex.join(other)}: not known")


class _Here:
    """Trains picks in this process, which spares each the seconds that a process of its own needs to start."""

    def run(self, task: TrainPick, items: Iterable[Path]) -> Iterator[tuple[Path, Outcome]]:
        silence_lightning()
        for folder in items:
            result = train_pick(folder, task.images)
            yield folder, Outcome(result.status, result.reason)


def _train(options: Sequence[str]) -> int:
    return train_and_compare(replace(plan_training(parse(TrainConfig, options, "naswot train")), executor=_Here()))


def forget_trust() -> None:
    """Be a new process so far as what the user trusts is concerned."""
    spaces.own_code._trusted.clear()
    spaces.get_space.cache_clear()


def run(words: Sequence[str]) -> None:
    """Run a command of a page in the working directory; it must end well."""
    forget_trust()
    match smaller(words):
        case ["naswot", "search", *options]:
            _call(lambda: run_search(parse(SearchConfig, options, "naswot search")))
        case ["naswot", "train", *options]:
            _call(lambda: _train(options))
        case ["naswot", command, *options] if command in COMMANDS:
            main = import_module(f"naswot_lightning.cli.{command}").main
            _call(lambda: main([*options, *FURTHER.get(command, [])]))
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
