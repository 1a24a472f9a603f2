"""A server of wandb's that is not there, or never answers: the results are whole, and one line says what happened."""

import socket
from functools import partial

from tests.faults.rounds import Fault, Round

_MOST_S = 420.0  # wandb asks for a minute before it gives up, each of a training's three runs


def unreachable(round: Round, script: str, mode: str, kind: str) -> None:
    """With auto, runs are kept offline, which one line says; with online, one line says why they cannot be shown."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if kind == "hangs":
            server.listen(100)  # Linux takes the connections, and nobody answers
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        environment = {"WANDB_BASE_URL": address, "WANDB_API_KEY": "0123456789" * 4}
        ended = round.begin(script, "--wandb.mode", mode, environment=environment).wait(_MOST_S)
    if mode == "auto":
        round.expect_told(ended, 0, "wandb cannot be reached", "is kept offline")
    else:
        round.expect_told(ended, 2, "wandb")
    if script == "search.py":
        round.judge_search()
    elif mode == "auto":  # a pick that may not train without wandb has none
        round.judge_training()


FAULTS = [
    Fault(f"wandb: {script}, {mode}, {kind}", partial(unreachable, script=script, mode=mode, kind=kind), most=1)
    for script, kind in (("search.py", "closed"), ("search.py", "hangs"), ("train.py", "closed"))
    for mode in ("auto", "online")
]
