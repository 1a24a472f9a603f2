"""Faults that are caused on purpose, with the real commands: ``python -m tests.faults [--rounds 3] [--fault NAME]``.

Each round of a fault comes at a random moment of a search or training in processes of their own, on this machine only,
and within a bounded time. Exit code 1 where anything is not as it should be. It needs Linux: processes are found in
/proc.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from naswot_lightning.console import print_table
from tests.faults import folders, kills, ray_kills, tracking
from tests.faults.rounds import Fault, MissedError, References, Round, StuckError, end_all

FAULTS = [*kills.FAULTS, *folders.FAULTS, *ray_kills.FAULTS, *tracking.FAULTS]
_MOST_MISSED = 10  # moments of one round that never came


def run_round(fault: Fault, number: int, seed: int, references: References) -> list[str]:
    """Run one round, again where its moment never came; return what is wrong."""
    for attempt in range(_MOST_MISSED):
        place = references.folder / "round"
        place.mkdir()
        round = Round(number, f"{seed}/{fault.name}/{number}/{attempt}", place, references)
        try:
            fault.run_round(round)
        except MissedError:
            continue
        except StuckError as error:
            round.wrong.append(str(error))
        except Exception as error:  # noqa: BLE001 - the next round may be as it should
            round.wrong.append(f"the round itself failed: {type(error).__name__}: {error}")
        finally:
            round.look_for_processes()
            shutil.rmtree(place, ignore_errors=True)
        return round.wrong
    return [f"its moment never came, {_MOST_MISSED} times"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="of each fault; fewer where more make no sense")
    parser.add_argument("--fault", action="append", help="one fault, or all whose names begin so, instead of all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faults = [fault for fault in FAULTS if fault.name.startswith(tuple(options.fault or [""]))]
    if not faults:
        parser.error(f"no such fault; there are {', '.join(fault.name for fault in FAULTS)}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has it ignored
    rows = []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        references = References(Path(folder))
        try:
            for fault in faults:
                if skipped := fault.needs():
                    print(f"{fault.name}: {skipped}")
                    continue
                row = [0, 0, 0, fault.name]
                rows.append(row)
                for number in range(min(options.rounds, fault.most or options.rounds)):
                    start = time.monotonic()
                    wrong = run_round(fault, number, options.seed, references)
                    seconds = round(time.monotonic() - start)
                    row[:3] = row[0] + 1, row[1] + bool(wrong), max(row[2], seconds)
                    told = "".join(f"\n    {each}" for each in wrong)
                    print(f"{fault.name}, round {number}: {seconds} s{told}", flush=True)
        except KeyboardInterrupt:
            print("interrupted; so far:")
            return 130
        finally:
            end_all(folder)
            print_table("", ("rounds", "wrong", "worst seconds", "fault"), rows)
    return int(any(wrong for _, wrong, *_ in rows))


if __name__ == "__main__":
    sys.exit(main())
