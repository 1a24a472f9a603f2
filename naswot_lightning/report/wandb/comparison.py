"""The comparison of a run folder's picks as one run of wandb, open while they train and taken up by later commands."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from naswot_lightning.config import WandbConfig
from naswot_lightning.errors import UserError, describe_error
from naswot_lightning.report.findings import Findings, find
from naswot_lightning.report.loggers import LoggedRun, logged_run
from naswot_lightning.report.run import Run, read_run
from naswot_lightning.report.wandb import runs
from naswot_lightning.report.wandb.content import comparison_config, content_of, log_comparison
from naswot_lightning.storage.run_folder import RunFolder

log = logging.getLogger(__name__)
# In processor times of an update: of many picks, updates take a tenth of one core at most.
_REST = 9


class ComparisonRun:
    """The run of a folder's comparison, which is started by what is logged first; only under the folder's lock."""

    def __init__(self, folder: RunFolder, wandb: WandbConfig) -> None:
        self.folder, self._wandb = folder, wandb
        self._open: Any = None
        self._config: dict[str, Any] = {}

    def update(self) -> None:
        """Log the picks that have ended so far, without pictures; the run stays open."""
        if runs.resolve_mode(self._wandb.mode) == "disabled":
            return
        run = read_run(self.folder)
        if run.results and (tracked := self._start(run)) is not None:
            log_comparison(tracked, run, find(run), None)

    def end(self, run: Run, findings: Findings, figures: Mapping[str, Path]) -> None:
        """Log all picks with pictures, and end the run; nothing is done where a command before has logged all that."""
        content = f"{self.logged.id}-{content_of(run)}"
        if self._open is None and runs.was_sent(self.folder, content):
            return
        tracked, self._open = self._start(run), None
        if tracked is not None and runs.send(tracked, lambda each: log_comparison(each, run, findings, figures)):
            runs.mark_sent(self.folder, content)

    def abandon(self) -> None:
        """End the run as one that was cut off, where it is open."""
        if self._open is not None:
            self._open.finish(exit_code=1)
            self._open = None

    @property
    def logged(self) -> LoggedRun:
        """The run that shows it."""
        return logged_run(self.folder, self._wandb, "comparison")

    def _start(self, run: Run) -> Any:
        config = comparison_config(run)
        if self._open is None:
            self._open = runs.start_run(self._wandb.mode, self.logged, config)
        elif config != self._config:
            self._open.config.update(config, allow_val_change=True)
        self._config = config
        return self._open


class ComparisonUpdates:
    """Updates a comparison in a thread of its own for as long as picks train, so that no training waits for wandb.

    Picks that end while an update is under way share the next one. What goes wrong is one line of warning and ends the
    updates. Where the training is interrupted, the comparison is abandoned.
    """

    def __init__(self, comparison: ComparisonRun) -> None:
        self._comparison = comparison
        self._pool = ThreadPoolExecutor(1, "wandb")
        self._next: Future[None] | None = None
        self._closed, self._is_begun = threading.Event(), False

    def __enter__(self) -> ComparisonUpdates:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for an update that is under way, and let no other begin."""
        self._closed.set()
        self._pool.shutdown(cancel_futures=True)
        if kind is not None:
            self._comparison.abandon()

    def pick_ended(self) -> None:
        """Update soon; returns at once."""
        if not self._closed.is_set() and (self._next is None or self._next.running() or self._next.done()):
            self._next = self._pool.submit(self._update)

    def _update(self) -> None:
        start = time.thread_time()
        try:
            self._comparison.update()
        except Exception as error:  # noqa: BLE001 - wandb's errors are many, and training is worth more
            reason = str(error) if isinstance(error, UserError) else describe_error(error)
            log.warning("the comparison in wandb is not updated before the end (%s)", reason)
            self._closed.set()
        # The first update loads libraries, which no other does: no rest is due for it.
        if self._is_begun:
            self._closed.wait(_REST * (time.thread_time() - start))
        self._is_begun = True
