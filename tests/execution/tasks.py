"""Small tasks that any process can import."""

import os
import signal
import threading
import time
from contextlib import contextmanager, suppress


class AlwaysReady:
    """A task that needs nothing before its first item."""

    def prepare(self): ...


class Halved:
    """Halves even numbers; odd ones are an error."""

    def prepare(self):
        self.ready = True

    def __call__(self, item):
        assert self.ready
        if item % 2:
            raise ValueError(f"{item} is odd")
        return item // 2


class Fatal(AlwaysReady):
    """Item 0 kills its worker, a path does so once, 99 takes for ever."""

    def __call__(self, item):
        if item == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if isinstance(item, str) and not os.path.exists(item):
            open(item, "w").close()
            os._exit(3)
        if item == 99:
            time.sleep(600)
        return item


class KillsItsParent(AlwaysReady):
    """Item 0 kills the process that started the worker."""

    def __call__(self, item):
        if item == 0:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(5)
        return item


class Stopped:
    """Stops its process while it gets ready, once."""

    def __init__(self, mark):
        self.mark = mark

    def prepare(self):
        if not os.path.exists(self.mark):
            open(self.mark, "w").close()
            os.kill(os.getpid(), signal.SIGSTOP)

    def __call__(self, item):
        return item


class NeverReady:
    """Its processes end while they get ready."""

    def prepare(self):
        os._exit(7)

    def __call__(self, item): ...


class Where(AlwaysReady):
    """Tells which process it is in, what it computes with, and the devices that it has."""

    def __call__(self, item):
        time.sleep(0.1)
        return os.getpid(), os.environ.get("OMP_NUM_THREADS"), os.environ.get("CUDA_VISIBLE_DEVICES")


class Unsendable(Exception):
    """An error that no other process can make of its arguments."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


class Odd(AlwaysReady):
    """Its error cannot be sent."""

    def __call__(self, item):
        raise Unsendable(item, "more")


class Training(AlwaysReady):
    """Waits until it is stopped, and then saves; begun again with what was saved, it is finished.

    An item is a folder. It holds the process that waits, and what was saved.
    """

    def __init__(self):
        self._stopped = threading.Event()

    def __reduce__(self):
        return Training, ()

    def stop(self):
        self._stopped.set()

    def __call__(self, folder):
        print(f"{folder.name}: begun")
        if (folder / "saved").exists():
            return "continued"
        (folder / "process").write_text(str(os.getpid()))
        self._stopped.wait(600)
        time.sleep(0.5)
        (folder / "saved").touch()
        raise KeyboardInterrupt


def wait_until(condition, seconds=60):
    """Return what the condition gives, as soon as it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def begin(run, begun):
    """Run in another thread until ``begun`` is true; return the thread and the list of its results."""
    results = []
    thread = threading.Thread(target=lambda: results.extend(run), daemon=True)
    thread.start()
    wait_until(begun)
    return thread, results


def are_training(folders):
    return lambda: all((folder / "process").exists() for folder in folders)


@contextmanager
def interrupted_when(begun):
    """Be interrupted, as by Ctrl-C, once ``begun`` is true, and where it does not come true."""
    ended = threading.Event()

    def interrupt():
        with suppress(AssertionError):
            wait_until(lambda: ended.is_set() or begun())
        if not ended.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Forking(AlwaysReady):
    """Forks; both processes then go on as if they were the one that was asked."""

    def __call__(self, item):
        if item % 4 == 1:
            os.fork()
        time.sleep(0.01)
        return -item


class Faulty(AlwaysReady):
    """On a sick device each item meets the fault; elsewhere those of ``always`` do, and "once" in one process."""

    def __init__(self, fault, always=(), once=None, sick="sick"):
        self.fault, self.always, self.once, self.sick = fault, always, once, sick

    def __call__(self, item):
        device = os.environ.get("CUDA_VISIBLE_DEVICES") or None
        if self.once is not None and not os.path.exists(self.once):
            open(self.once, "w").close()
            raise self.fault
        if device == self.sick or item in self.always:
            raise self.fault
        time.sleep(0.05)
        return device
