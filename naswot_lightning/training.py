"""All picks of a run: one process each, then their comparison."""

from __future__ import annotations

import inspect
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from naswot_lightning import comparison
from naswot_lightning.config import TrainConfig
from naswot_lightning.data.dataset import load_dataset
from naswot_lightning.data.splits import warn_of_own_split
from naswot_lightning.data.storage import store_dataset
from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.storage.files import locked
from naswot_lightning.picks import EXIT_INTERRUPTED, EXIT_OUT_OF_MEMORY, halve_step, list_picks, prepare_pick
from naswot_lightning.storage.run_folder import RunFolder
from spaces import get_space

Row = dict[str, Any]

# Arguments of Lightning's Trainer that have an option of their own, or decide where results lie.
_OWN_OPTIONS = {
    "max_epochs": "--epochs",
    "precision": "--precision",
    "gradient_clip_val": "--gradient_clip",
    "logger": "--wandb.mode",
    "callbacks": None,
    "plugins": None,
    "use_distributed_sampler": None,
    "default_root_dir": "--run_dir",
}


def run_training(config: TrainConfig) -> int:
    """Train the picks that have no result yet, then compare all of the run folder.

    Returns:
        0, or 1 where a pick failed; the others are trained all the same.

    Raises:
        UserError: a setting, a file or the run folder is at fault.
    """
    _check_trainer_arguments(config)
    if config.space is not None:
        config = replace(config, space=get_space(config.space).name)  # the one spelling of its options
    folder = RunFolder(config.run_dir)
    picks = list_picks(config, folder)
    if warning := warn_of_own_split(picks[0]["dataset"], picks[0]["split_file"]):
        print(f"train.py: warning: {warning}", file=sys.stderr)
    with _interrupted_by_sigterm(), locked(folder.path):
        folders = [prepare_pick(folder.path, pick, config.overwrite) for pick in picks]
        waiting = [pick for pick in folders if not _is_finished(pick)]
        with _shared_images(folder.path, picks[0], bool(waiting)) as images:
            failed = [pick for pick in waiting if not _train(pick, images)]
        comparison.compare(folder, config.wandb)
    for pick in failed:
        print(f"FAILED: {pick.name}, see {pick / 'train.log'}", file=sys.stderr)
    return 1 if failed else 0


def _check_trainer_arguments(config: TrainConfig) -> None:
    if not config.trainer:
        return
    from pytorch_lightning import Trainer

    for name in config.trainer:
        if name in _OWN_OPTIONS:
            own = _OWN_OPTIONS[name]
            raise UserError(f"--trainer.{name}: {f'use {own}' if own else 'it is set by train.py itself'}")
        expect_name("argument of Lightning's Trainer", name, inspect.signature(Trainer).parameters)


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Take SIGTERM, with which schedulers announce the end, as Ctrl-C: the pick saves before it ends."""

    def interrupt(signum: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _shared_images(run_dir: Path, settings: Row, needed: bool) -> Iterator[Path | None]:
    """Load the data set once; the processes of all picks map the same memory."""
    if not needed:
        yield None
        return
    images = run_dir / ".images"
    dataset = load_dataset(*(settings[name] for name in ("dataset", "data_dir", "image_size", "split_file")))
    try:
        store_dataset(dataset, images)
        del dataset
        yield images
    finally:
        shutil.rmtree(images, ignore_errors=True)


def _is_finished(folder: Path) -> bool:
    return (folder / "result.json").exists()


def _train(folder: Path, images: Path | None) -> bool:
    """Train one pick in a process of its own; return whether it has a result then."""
    code = _run_pick(folder, images)
    if code == EXIT_OUT_OF_MEMORY and (half := halve_step(folder)):
        print(
            f"{folder.name}: out of memory; trained again with half the mini-batch: each step takes 2 x {half} images "
            "a device, their gradients added (BatchNorm then sees the halves)",
            flush=True,
        )
        code = _run_pick(folder, images)
    if code == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    if code == 2:
        raise UserError(_last_error(folder))
    if code == -signal.SIGKILL:
        print(f"{folder.name}: killed by SIGKILL, as Linux does where memory runs out", file=sys.stderr)
    return _is_finished(folder)


def _run_pick(folder: Path, images: Path | None) -> int:
    command = [sys.executable, "-m", "naswot_lightning.pick", str(folder), *([] if images is None else [str(images)])]
    # A wandb service of its own: one that outlives a killed pick would refuse the run to the next.
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    with open(folder / "train.log", "ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment)
        _show(process)
    return process.returncode


def _show(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    try:
        for line in process.stdout:
            print(line.decode(errors="replace"), end="", flush=True)
        process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _last_error(folder: Path) -> str:
    lines = (folder / "train.log").read_text(errors="replace").splitlines()
    message = next((line for line in reversed(lines) if line.startswith("train.py: error: ")), "")
    return message.removeprefix("train.py: error: ") or f"see {folder / 'train.log'}"
