"""Faults that are caused on purpose, with the real commands: ``python -m tests.faults [--rounds 20] [--fault NAME]``.

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
from tests.faults import candidates, folders, kills, ray_kills, tracking
from tests.faults.commands import MissedError, StuckError, end_all
from tests.faults.rounds import Fault, References, Round, Verdict

FAULTS = [*kills.FAULTS, *folders.FAULTS, *candidates.FAULTS, *ray_kills.FAULTS, *tracking.FAULTS]
_MOST_MISSED = 10  # moments of one round that never came


_TITLES = ("rounds", "finished lost", "scored twice", "identical", "left", "told in one line", "worst seconds", "fault")


def run_fault(fault: Fault, count: int, seed: int, references: References) -> list[Verdict]:
    """Run so many rounds of a fault, and tell of each what it finds wrong."""
    verdicts = []
    for number in range(count if fault.most is None else min(count, fault.most)):
        start = time.monotonic()
        verdict = run_round(fault, number, seed, references, references.folder)
        verdict.seconds = time.monotonic() - start
        verdicts.append(verdict)
        told = "".join(f"\n    {each}" for each in verdict.wrong)
        print(f"{fault.name}, round {number}: {verdict.seconds:.0f} s{told}", flush=True)
    return verdicts


def cells_of(fault: Fault, verdicts: list[Verdict]) -> list[object]:
    """Return the row of a fault in the table."""

    def share(name: str) -> str:
        values = [value for each in verdicts if (value := getattr(each, name)) is not None]
        return f"{sum(values)} of {len(values)}" if values else "-"

    lost, twice, left = (sum(getattr(each, name) for each in verdicts) for name in ("lost", "twice", "left"))
    slowest = max((each.seconds for each in verdicts), default=0)
    return [
        len(verdicts), lost, twice, share("identical"), left, share("one_line"), round(slowest), fault.name,
    ]  # fmt: skip


def run_round(fault: Fault, number: int, seed: int, references: References, folder: Path) -> Verdict:
    """Run one round, again where its moment never came."""
    for attempt in range(_MOST_MISSED):
        place = folder / "round"
        place.mkdir()
        round = Round(number, f"{seed}/{fault.name}/{number}/{attempt}", place, references)
        try:
            fault.run_round(round)
        except MissedError:
            continue
        except StuckError as error:
            round.verdict.wrong.append(str(error))
        except Exception as error:  # noqa: BLE001 - the next round may be as it should
            round.verdict.wrong.append(f"the round itself failed: {type(error).__name__}: {error}")
        finally:
            round.look_for_processes()
            shutil.rmtree(place, ignore_errors=True)
        return round.verdict
    return Verdict(wrong=[f"its moment never came, {_MOST_MISSED} times"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="of each fault; fewer where more make no sense")
    parser.add_argument("--fault", action="append", help="one fault, or all whose names begin so, instead of all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    wanted = tuple(options.fault or [""])
    faults = [fault for fault in FAULTS if fault.name.startswith(wanted)]
    if not faults:
        parser.error(f"no such fault; there are {', '.join(fault.name for fault in FAULTS)}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has it ignored
    found: dict[Fault, list[Verdict]] = {}
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        references = References(Path(folder))
        try:
            for fault in faults:
                if skipped := fault.needs():
                    print(f"{fault.name}: {skipped}")
                else:
                    found[fault] = run_fault(fault, options.rounds, options.seed, references)
        except KeyboardInterrupt:
            print("interrupted; so far:")
            interrupted = True
        finally:
            end_all(folder)
    print_table("", _TITLES, (cells_of(*each) for each in found.items()))
    return 130 if interrupted else int(any(each.wrong for verdicts in found.values() for each in verdicts))


if __name__ == "__main__":
    sys.exit(main())
