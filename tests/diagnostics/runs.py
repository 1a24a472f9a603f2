"""The run folder of a small search whose accuracies a table knows, and the command that draws it."""

from functools import partial

from naswot_lightning.cli import run_named
from naswot_lightning.cli.parser import run_command
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig

main = partial(run_named, "report")

NAMES = ["8:8:8:8:8", "8:16:8:8:8", "16:8:8:8:8"]  # which are quick to build
BATCH = 8
FEW = ("--figure", "figure5", "--samples", "2", "--batch_sizes", str(BATCH))


def search(folder):
    """Search networks of known accuracies: 60, 61, ... percent in their order."""
    table = folder / "table.csv"
    table.write_text("\n".join(["architecture,accuracy", *(f"{name},{60 + n}" for n, name in enumerate(NAMES))]) + "\n")
    options = ["--space", "nats_size", "--architectures", str(table), "--benchmark", str(table), "--dataset", "digits"]
    options += ["--batch_size", str(BATCH), "--seed", "3", "--wandb.mode", "disabled", "--workers", "1"]
    run = folder / "run"
    assert run_command(run_search, SearchConfig, "naswot search", ["--run_dir", str(run), *options]) == 0
    return run


def report(run, *words):
    return main(["--run_dir", str(run), *map(str, words)])
