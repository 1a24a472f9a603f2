"""A server of wandb's that refuses, fails, or never answers: the results are whole, and one line says what happened."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.faults.rounds import Fault, Round

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
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        server.kind, server.closed, server.daemon_threads = kind, threading.Event(), True
        server.block_on_close = False
        environment = {"WANDB_BASE_URL": f"http://127.0.0.1:{server.server_port}", "WANDB_API_KEY": _KEY}
        if kind == "closed":
            server.server_close()
            yield environment
            return
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield environment
        finally:
            server.closed.set()
            server.shutdown()


def unreachable(round: Round, script: str, mode: str, kind: str) -> None:
    """With auto, runs are kept offline, which one line says; with online, one line says why they cannot be shown."""
    with _server(kind) as environment:
        ended = round.begin(script, "--wandb.mode", mode, environment=environment).wait(_MOST_S)
    if mode == "auto":
        round.expect_told(ended, 0, "wandb cannot be reached", "is kept offline")
    else:
        round.expect_told(ended, 2, "wandb")
    if script == "search.py":
        round.judge_search()
    elif mode == "auto":  # a pick that may not train without wandb has none
        round.judge_training()


_KINDS = {"search.py": ("closed", "500", "403", "hangs"), "train.py": ("closed", "403")}
FAULTS = [
    Fault(f"wandb: {script}, {mode}, {kind}", partial(unreachable, script=script, mode=mode, kind=kind), most=1)
    for script, kinds in _KINDS.items()
    for mode in ("auto", "online")
    for kind in kinds
]
