"""The run of a comparison in wandb: one a run folder, open while picks train, taken up where there are more later."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from naswot_lightning.errors import UserError, describe_error
from naswot_lightning.report import wandb_runs
from naswot_lightning.report.findings import Findings, find
from naswot_lightning.report.run import Run, read_run
from naswot_lightning.report.tracking.comparison import comparison_config, content_of, log_comparison
from naswot_lightning.report.wandb_runs import WandbSettings
from naswot_lightning.storage.run_folder import RunFolder

log = logging.getLogger(__name__)
_REST = 9  # times the processor time of an update: of many picks, updates take a tenth of one core at most


class ComparisonRun:
    """The run of a folder's comparison, which is started by what is logged first; only under the folder's lock.

    Args:
        folder: of the picks.
        wandb: where the run is shown.
    """

    def __init__(self, folder: RunFolder, wandb: WandbSettings) -> None:
        self.folder, self._wandb = folder, wandb
        self._open: Any = None
        self._config: dict[str, Any] = {}

    def update(self) -> None:
        """Log the picks that have ended so far, without pictures; the run stays open.

        Raises:
            UserError: a file is damaged, or the server cannot be reached.
        """
        if wandb_runs.resolve_mode(self._wandb.mode) == "disabled":
            return
        run = read_run(self.folder)
        if run.results and (tracked := self._start(run)) is not None:
            log_comparison(tracked, run, find(run), None)

    def end(self, run: Run, findings: Findings, figures: Mapping[str, Path]) -> None:
        """Log all picks with pictures, and end the run; nothing is done where a command before has logged all that.

        Raises:
            UserError: the server cannot be reached.
        """
        content = f"{self._id}-{content_of(run)}"
        if self._open is None and wandb_runs.was_sent(self.folder, content):
            return
        tracked, self._open = self._start(run), None
        if tracked is not None and wandb_runs.send(tracked, lambda each: log_comparison(each, run, findings, figures)):
            wandb_runs.mark_sent(self.folder, content)

    def abandon(self) -> None:
        """End the run as one that was cut off, where it is open."""
        if self._open is not None:
            self._open.finish(exit_code=1)
            self._open = None

    @property
    def _id(self) -> str:
        return f"{self.folder.run_id()}-comparison"

    def _start(self, run: Run) -> Any:
        config = comparison_config(run)
        if self._open is None:
            self._open = wandb_runs.start_run(
                self._wandb,
                self.folder.path,
                config,
                id=self._id,
                name=f"comparison {self.folder.name}",
                group=wandb_runs.wandb_group(self.folder, self._wandb),
                job_type="comparison",
            )
        elif config != self._config:
            self._open.config.update(config, allow_val_change=True)
        self._config = config
        return self._open


class Updates:
    """Updates a comparison in a thread of its own, so that no training waits for wandb.

    Picks that end while an update is under way share the next one. What goes wrong is one line of warning and ends the
    updates; the comparison at the end of the command tries once more.
    """

    def __init__(self, comparison: ComparisonRun) -> None:
        self._comparison = comparison
        self._pool = ThreadPoolExecutor(1, "wandb")
        self._next: Future[None] | None = None
        self._closed, self._is_begun = threading.Event(), False

    def pick_ended(self) -> None:
        """Update soon; returns at once."""
        if self._closed.is_set() or (self._next is not None and not (self._next.running() or self._next.done())):
            return
        self._next = self._pool.submit(self._update)
        self._next.add_done_callback(self._tell)

    def close(self) -> None:
        """Wait for an update that is under way, and let no other begin."""
        self._closed.set()
        self._pool.shutdown(cancel_futures=True)

    def _update(self) -> None:
        start = time.thread_time()
        self._comparison.update()
        if self._is_begun:
            self._closed.wait(_REST * (time.thread_time() - start))
        self._is_begun = True  # the first update loads libraries, which no other does

    def _tell(self, update: Future[None]) -> None:
        """Tell of what went wrong, of whatever kind: wandb's errors are many, and training is worth more."""
        error = None if update.cancelled() else update.exception()
        if error is not None:
            reason = str(error) if isinstance(error, UserError) else describe_error(error)
            log.warning("the comparison in wandb is not updated before the end (%s)", reason)
            self._closed.set()


@contextmanager
def updates(comparison: ComparisonRun) -> Iterator[Updates]:
    """Give updates for as long as picks train; where that is interrupted, the comparison is abandoned."""
    shown = Updates(comparison)
    try:
        yield shown
    except BaseException:
        shown.close()
        comparison.abandon()
        raise
    shown.close()
