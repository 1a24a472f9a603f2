"""A process that ends with the one that started it; this loads nothing, so that it holds from the first moment."""

from __future__ import annotations

import os
import signal
import threading
import time

PATIENCE_SECONDS = 60.0
EXIT_INTERRUPTED = 130


def end_with_parent() -> None:
    """Send ourselves SIGTERM when the parent ends, however it does: its end of our standard input then closes.

    Until a handler is set, which saves, there is nothing to save, and SIGTERM ends the process at once.
    """

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE_SECONDS)
        os._exit(EXIT_INTERRUPTED)  # waiting for another process, which is gone

    threading.Thread(target=watch, daemon=True).start()
