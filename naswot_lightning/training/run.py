"""The picks of a run: each is a task of an executor, which trains it in a process of its own (pick.py)."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from naswot_lightning.data.dataset import Dataset, store_dataset
from naswot_lightning.data.probe import draw_probe
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import MachineError, UserError, describe_os_error
from naswot_lightning.execution.base import WorkerFailure
from naswot_lightning.execution.engine import Devices
from naswot_lightning.execution.resources import ResourceSlot
from naswot_lightning.execution.worker import module_path
from naswot_lightning.registry import own_paths
from naswot_lightning.report.loggers import logged_run, wandb_of
from naswot_lightning.storage.records import parse_json
from naswot_lightning.training.plan import Training
from naswot_lightning.training.progress import (
    EXIT_OS_ERROR,
    Lines,
    Outcome,
    clear_outcome,
    display,
    read_epoch,
    read_outcome,
)
from naswot_lightning.training.settings import PickRun, PickSettings, prepare_pick, read_pick, write_retry

# The data set of all picks, while they train.
IMAGES_FILE = ".images.pt"
# What decides which images are loaded.
_IMAGES = ("dataset", "data_dir", "image_size", "split_file")
# Of the command, not for its picks: a service of wandb that outlives a killed pick would refuse the run to the next; a
# sweep has one run, which is the comparison.
_NOT_FOR_PICKS = ("WANDB_SERVICE", "WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")
# What Lightning and torch read to find the other processes of a job; a pick is a job of its own.
_OF_A_LAUNCHER = re.compile(
    r"(GLOBAL_|LOCAL_|NODE_|GROUP_|ROLE_)?RANK|((LOCAL|GROUP|ROLE)_)?WORLD_SIZE|(MASTER|TORCHELASTIC|PL_TRAINER)_.*"
    r"|STANDALONE_PORT|SLURM_(NTASKS\w*|NPROCS|STEP_NUM_TASKS|PROCID|LOCALID|NODEID|NNODES)|LSB_(JOBID|DJOB_RANKFILE)"
    r"|(JSM_NAMESPACE|OMPI|PMI|PMIX|MV2_COMM)_.*"
)


def load_images(training: Training) -> list[Dataset]:
    """Return the data set in a list from which it can be let go; an empty list where there is nothing to train.

    UserError where it cannot be read, or has changed since the search.
    """
    finished = all(_is_finished(training.folder.picks / pick.name) for pick in training.picks)
    if finished and not training.config.overwrite:
        return []
    searched, pick = training.searched, training.picks[0].settings
    dataset = _load(pick)
    of_same = all(getattr(searched, name) == getattr(pick, name) for name in _IMAGES)
    # Resized images are not compared: their pixels are not the same on every machine.
    if training.config.overwrite or not of_same or searched.probe_size is not None:
        return [dataset]
    fingerprint = None
    # There was no search, or its first line is damaged.
    with suppress(OSError, ValueError, KeyError, TypeError), open(training.folder.scores, "rb") as file:
        fingerprint = str(parse_json(file.readline(2**20))["probe"])
    if fingerprint is not None and searched.evaluator in ("scores", "train"):
        found = draw_probe(dataset, searched.batch_size, searched.seed).fingerprint
        if found != fingerprint:
            raise UserError(
                f"the images of {dataset.name} differ from those of the search (the fingerprint of its probe batch was "
                f"{fingerprint}, now {found}): restore them, or use --overwrite to train on these anyway"
            )
    return [dataset]


def prepare_picks(training: Training, loaded: list[Dataset]) -> list[Path]:
    """Write the settings of all picks, under the lock of the run folder; return the folders without a result yet."""
    wandb, folders = wandb_of(training.config), []
    # Their project and group are those of the comparison.
    shared = logged_run(training.folder, wandb, "comparison")
    for pick in training.picks:
        run = PickRun(
            mode=wandb.mode,
            project=shared.project,
            group=shared.group,
            id=f"{training.folder.run_id()}-{pick.name}-{pick.settings.digest()}",
            name=pick.name,
            artifacts=wandb.artifacts,
            logger=training.config.logger,
        )
        images = loaded[0].fingerprint if loaded else None
        decided = pick.settings, run, training.config.overwrite, images, pick.selection
        folders.append(prepare_pick(training.folder.path, *decided))
    return [folder for folder in folders if not _is_finished(folder)]


def train_picks(
    training: Training, folders: list[Path], loaded: list[Dataset]
) -> Generator[tuple[Path, Outcome], None, None]:
    """Train the picks of some folders; yield each folder with how it ended, as they end.

    The data set is taken out of ``loaded`` and let go; where that is empty, it is loaded.
    """
    if not folders:
        return
    settings, images = training.picks[0].settings, training.folder.path / IMAGES_FILE
    try:
        store_dataset(loaded.pop() if loaded else _load(settings), images)
        with display(len(folders)) as progress:
            trusted = "\n".join([settings.space, *own_paths("logger", training.config.logger)])
            task = TrainPick(images, trusted, training.slots, progress)
            for folder, outcome in training.executor.run(task, folders):
                yield folder, Outcome("killed", outcome.reason) if isinstance(outcome, WorkerFailure) else outcome
    finally:
        images.unlink(missing_ok=True)


def _load(settings: PickSettings) -> Dataset:
    return load_dataset(*(getattr(settings, name) for name in _IMAGES))


def _is_finished(folder: Path) -> bool:
    return (folder / "result.json").exists()


class TrainPick:
    """Trains the pick of a folder, in one of several slots, each of which trains one at a time.

    All picks map the file ``images`` of the data set; ``trusted`` is a line for each thing that the user trusts. A
    training that was interrupted is saved, and raises KeyboardInterrupt.
    """

    def __init__(self, images: Path, trusted: str, slots: Sequence[ResourceSlot], display: Lines) -> None:
        self.images, self.trusted, self.display = images, trusted, display
        self._free = list(slots)
        # Of each device, how many trainings have it, and how many wait to have it alone.
        self._sharing = Counter(slot.device for slot in slots)
        self._busy, self._waiting, self._turn = Counter[str](), Counter[str](), threading.Condition()
        # A pick does not go back to the device that failed under it.
        self._devices, self._avoided = Devices(), dict[Path, str]()
        self._threads = slots[0].threads
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ports: set[int] = set()
        self._lock, self._stopped = threading.Lock(), False

    def __reduce__(self) -> tuple[type[TrainPick], tuple[object, ...]]:
        # Sent elsewhere, a pick has the devices of the process that it is sent to.
        own = ResourceSlot(self._threads, {"OMP_NUM_THREADS": str(self._threads)})
        return TrainPick, (self.images, self.trusted, (own,), Lines())

    def prepare(self) -> None:
        """Nothing: each pick has a process of its own."""

    def stop(self) -> None:
        """Let all trainings save and end."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()

    def __call__(self, item: Path) -> Outcome:
        """Train; where memory runs out once more, alone on a shared device, and then with each step in two halves.

        Raises:
            MachineError: the device is broken; called again, the pick trains on another.
        """
        slot = self._take_slot(item)
        try:
            with self._on(slot.device):
                outcome = self._run(item, slot)
            if outcome.status == "out of memory" and self._sharing[slot.device] > 1:
                self.display.say(f"{item.name}: out of memory; trained again without other picks on its device")
                with self._on(slot.device, alone=True):
                    outcome = self._run(item, slot)
            if outcome.status == "out of memory" and (half := read_pick(item).half()):
                self.display.say(
                    f"{item.name}: out of memory; trained again with half the batch: each step takes 2 x {half} "
                    "images per device and adds their gradients (BatchNorm sees the halves)"
                )
                write_retry(item, 2)
                with self._on(slot.device):
                    outcome = self._run(item, slot)
            is_broken = outcome.status == "device fault"
            self._devices.note(slot.device, WorkerFailure(str(outcome.message), "device") if is_broken else None)
            if is_broken:
                self._avoided[item] = slot.device
                raise MachineError(f"device fault: {outcome.message}", "device")
        finally:
            with self._turn:
                self._free.append(slot)
                self._turn.notify_all()
        return raise_or_print(item, outcome)

    def _take_slot(self, item: Path) -> ResourceSlot:
        """Wait for a free slot on a device that works, on another than the one that failed where there is one."""

        def find() -> ResourceSlot | None:
            usable = set(self._devices.usable(self._sharing))
            allowed = usable - {self._avoided.get(item, "none")} or usable
            return next((slot for slot in self._free if slot.device in allowed), None)

        with self._turn:
            slot = self._turn.wait_for(find)
            assert slot is not None
            self._free.remove(slot)
            return slot

    @contextmanager
    def _on(self, device: str, alone: bool = False) -> Iterator[None]:
        """Use a device, once nobody who wants it alone has it; or alone, once all others have let it go."""
        with self._turn:
            self._waiting[device] += alone
            self._turn.wait_for(lambda: not (self._busy if alone else self._waiting)[device])
            self._busy[device] += 1
        try:
            yield
        finally:
            with self._turn:
                self._busy[device] -= 1
                self._waiting[device] -= alone
                self._turn.notify_all()

    def _run(self, folder: Path, slot: ResourceSlot) -> Outcome:
        """Train in a process of its own, showing what it tells; where this is interrupted, let it save and end."""
        clear_outcome(folder)
        with open(folder / "train.log", "ab") as log:
            process = self._start(folder, slot, log)
        try:
            assert process.stdout is not None
            for line in process.stdout:
                text = line.decode(errors="replace").rstrip("\n")
                epoch = read_epoch(text)
                self.display.say(text) if epoch is None else self.display.show(epoch)
            process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            with self._lock:
                self._running.discard(process)
        outcome = read_outcome(folder)
        return outcome_from_exit_code(process.returncode, folder) if outcome.status == "killed" else outcome

    def _start(self, folder: Path, slot: ResourceSlot, log: BinaryIO) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "naswot_lightning.training.pick", str(folder), str(self.images), self.trusted]
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in _NOT_FOR_PICKS and not _OF_A_LAUNCHER.fullmatch(name)
        }
        environment |= {
            # A crash of a library leaves a traceback in train.log.
            "PYTHONFAULTHANDLER": "1",
            # Libraries from where this process has them: with -m alone the folder that the user stands in comes first.
            "PYTHONSAFEPATH": "1",
            "PYTHONPATH": module_path(),
            **slot.environment,
        }
        with self._lock:
            if self._stopped:
                raise KeyboardInterrupt
            # The processes of one pick talk through a port that no other pick of this command was given.
            while (port := _free_port()) in self._ports:
                pass
            self._ports.add(port)
            environment["MASTER_PORT"] = str(port)
            pipe = subprocess.PIPE
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, env=environment)
            self._running.add(process)
            return process


def raise_or_print(folder: Path, outcome: Outcome) -> Outcome:
    """Return the outcome, after printing why there is no result; raise if it ends the command."""
    if outcome.status == "interrupted":
        raise KeyboardInterrupt
    if outcome.status == "user error":
        raise UserError(outcome.message or f"see {folder / 'train.log'}")
    if not outcome.has_result and outcome.message:
        print(f"{folder.name}: {outcome.message}", file=sys.stderr)
    return outcome


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def outcome_from_exit_code(code: int, folder: Path) -> Outcome:
    """Return how a process ended that wrote no outcome."""
    # While it was loading: there was nothing to save yet.
    if code in (-signal.SIGTERM, -signal.SIGINT):
        return Outcome("interrupted")
    if code == -signal.SIGKILL:
        cure = "try --workers 1 or a smaller --batch_size"
        return Outcome("killed", f"killed by SIGKILL, as Linux does when memory runs out: {cure}")
    if code < 0:
        return Outcome("killed", f"killed by {signal.Signals(-code).name}, see {folder / 'train.log'}")
    if code >= EXIT_OS_ERROR:
        number = code - EXIT_OS_ERROR
        return Outcome("user error", describe_os_error(OSError(number, os.strerror(number), str(folder))))
    return Outcome("killed")
