"""What a job of a cluster does, and the file in which it tells of its items."""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naswot_lightning.errors import UserError
from naswot_lightning.execution.base import WorkerFailure
from naswot_lightning.execution.remote import Done, Failed, Message, TaskSpec, Worker, sendable

if TYPE_CHECKING:
    from submitit.core.utils import DelayedSubmission


@dataclass(frozen=True)
class JobItems:
    """What a job does: it runs items, and appends what there is to tell of them to a file.

    submitit calls it, and asks it for what is left where the job must make room or its time is over. A job that is
    begun again goes on where its file ends.

    Attributes:
        parcel: how the task is run.
        task: the file of the pickled task.
        told: the file for messages.
        items: of the job.
        timeout: seconds after which an item is taken as hung; None for never.
    """

    parcel: TaskSpec
    task: Path
    told: Path
    items: Sequence[Any]
    timeout: float | None
    _workers: list[Worker] = field(default_factory=list, compare=False)

    def __call__(self) -> None:
        """Run the items that have no result in the file."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        messages, end = read_messages(self.told, 0)
        with suppress(FileNotFoundError):
            os.truncate(self.told, end)  # of what was half-written
        finished = {message.number for message in messages if isinstance(message, Done)}
        left = {number: item for number, item in enumerate(self.items) if number not in finished}
        try:
            worker = Worker(self.parcel, self._load())
        except Exception as error:  # noqa: BLE001 - raised again by the command
            append_message(self.told, Failed(sendable(error)))
            return
        self._workers.append(worker)
        watch = _Watch(self.told, self.timeout, worker)
        for message in worker.run(left):
            append_message(self.told, message)
            watch.seen()

    def checkpoint(self) -> DelayedSubmission:
        """Let a training save, and return what goes on with it."""
        from submitit.core.utils import DelayedSubmission

        for worker in self._workers:
            worker.stop()
        return DelayedSubmission(replace(self, _workers=[]))

    def _load(self) -> bytes:
        sent = self.task.read_bytes()
        if hashlib.sha256(sent).hexdigest() != self.parcel.digest:
            raise UserError(f"{self.task} is not what was submitted; run the same command again")
        return sent


class _Watch:
    """Ends this process where it is at one item for longer than some seconds; its file then says so."""

    def __init__(self, told: Path, timeout: float | None, worker: Worker) -> None:
        self._told, self._worker, self._since = told, worker, time.monotonic()
        if timeout is not None:
            threading.Thread(target=self._end_in_time, args=(timeout,), daemon=True).start()

    def seen(self) -> None:
        """Begin to count anew."""
        self._since = time.monotonic()

    def _end_in_time(self, timeout: float) -> None:
        while (left := self._since + timeout - time.monotonic()) > 0:
            time.sleep(left)
        append_message(self._told, Done(self._worker.at, WorkerFailure(f"gave no answer in {timeout:g} s")))
        os._exit(1)


def append_message(path: Path, message: Message) -> None:
    """Append a message; another machine sees it once the file is closed."""
    content = pickle.dumps(message)
    with open(path, "ab") as file:
        file.write(struct.pack("<Q", len(content)) + content)


def read_messages(path: Path, start: int) -> tuple[list[Message], int]:
    """Return the messages from a place in the file on, and where the last whole one ends."""
    try:
        with open(path, "rb") as file:
            file.seek(start)
            content = file.read()
    except FileNotFoundError:
        return [], start
    messages: list[Message] = []
    at = 0
    while len(content) >= at + 8:
        (size,) = struct.unpack_from("<Q", content, at)
        if len(content) < at + 8 + size:
            break
        messages.append(pickle.loads(content[at + 8 : at + 8 + size]))  # noqa: S301 - of a job of this command
        at += 8 + size
    return messages, start + at
