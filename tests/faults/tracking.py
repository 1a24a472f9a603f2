"""A server of wandb's that refuses, fails, or never answers: the results are whole, and one line says what happened."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.faults.rounds import ASIDE, SEARCH, TRAIN, Fault, Round, copy_search, search_is, training_is

_KEY = "0123456789" * 4
_MOST_S = 420.0  # wandb asks for a minute before it gives up, each of a training's three runs


class _Answer(BaseHTTPRequestHandler):
    """Answers every request with the server's status, or never."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.kind == "hangs":
            self.server.closed.wait()
            return
        self.send_response(int(self.server.kind))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_PUT = do_POST

    def log_message(self, *_) -> None: ...


@contextmanager
def _server(kind: str) -> Iterator[dict[str, str]]:
    """Give the environment that leads wandb to a server of that kind."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    server.kind, server.closed, server.daemon_threads = kind, threading.Event(), True
    server.block_on_close = False
    environment = {"WANDB_BASE_URL": f"http://127.0.0.1:{server.server_port}", "WANDB_API_KEY": _KEY}
    if kind == "closed":
        server.server_close()
        yield environment
        return
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield environment
    finally:
        server.closed.set()
        server.shutdown()
        server.server_close()


def _command(round: Round, script: str, mode: str, environment: dict[str, str]):
    words = (*SEARCH, "--workers", 1) if script == "search.py" else (*TRAIN, *ASIDE)
    if script == "train.py":
        copy_search(round.references.search(), round.run_dir)
    start = time.monotonic()
    given = (*words, "--wandb.mode", mode, "--run_dir", round.run_dir)
    ended = round.start(script, *given, environment=environment).wait(_MOST_S)
    print(f"    {script}, {mode}: exit code {ended.code} after {time.monotonic() - start:.0f} s, {ended.told[-3:]}")
    return ended


def unreachable(round: Round, script: str, mode: str, kind: str) -> None:
    """With auto, runs are kept offline, which one line says; with online, one line says why they cannot be shown."""
    with _server(kind) as environment:
        ended = _command(round, script, mode, environment)
    if mode == "auto":
        round.expect_told(ended, 0, "wandb cannot be reached", "is kept offline")
    else:
        round.expect_told(ended, 2, "wandb")
    if script == "search.py":
        search_is(round.verdict, round.run_dir, round.references.search(), [])
    elif mode == "auto":  # a pick that may not train without wandb has none
        training_is(round.verdict, round.run_dir, round.references.training())


def _fault(script: str, mode: str, kind: str) -> Fault:
    run_round = partial(unreachable, script=script, mode=mode, kind=kind)
    return Fault(f"wandb: {script}, {mode}, {kind}", run_round, most=1)  # each takes minutes


FAULTS = [
    *(_fault("search.py", mode, kind) for mode in ("auto", "online") for kind in ("closed", "500", "403", "hangs")),
    *(_fault("train.py", mode, kind) for mode in ("auto", "online") for kind in ("closed", "403")),
]
