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
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import candidates, folders, kills, ray_kills, tracking
from tests.faults.commands import MissedError, StuckError, end_all_within
from tests.faults.rounds import Fault, References, Round, Verdict

FAULTS = [*kills.FAULTS, *folders.FAULTS, *candidates.FAULTS, *ray_kills.FAULTS, *tracking.FAULTS]
_MOST_MISSED = 10  # moments of one round that never came


@dataclass
class Row:
    """What all rounds of a fault found."""

    fault: Fault
    verdicts: list[Verdict] = field(default_factory=list)
    slowest: float = 0.0
    skipped: str | None = None

    def cells(self) -> list[str]:
        if self.skipped:
            return [self.fault.name, "0", "-", "-", "-", "-", "-", self.skipped]
        sums = [sum(getattr(each, name) for each in self.verdicts) for name in ("lost", "twice", "left")]
        return [
            self.fault.name, str(len(self.verdicts)), str(sums[0]), str(sums[1]), self._share("identical"),
            str(sums[2]), self._share("one_line"), f"{self.slowest:.0f}",
        ]  # fmt: skip

    def _share(self, name: str) -> str:
        values = [value for each in self.verdicts if (value := getattr(each, name)) is not None]
        return f"{sum(values)} of {len(values)}" if values else "-"


_TITLES = [
    "fault", "rounds", "finished lost", "scored twice", "identical", "processes left", "told in one line",
    "worst seconds",
]  # fmt: skip


def _print_table(rows: list[Row]) -> None:
    table = [_TITLES, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(_TITLES))]
    for name, *cells in table:
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        print("  ".join([name.ljust(widths[0]), *aligned]))


def run_fault(row: Row, count: int, seed: int, references: References) -> None:
    """Run so many rounds of a row's fault, and tell of each what it finds wrong."""
    fault = row.fault
    row.skipped = fault.needs()
    for number in range(0 if row.skipped else count if fault.most is None else min(count, fault.most)):
        start = time.monotonic()
        verdict = run_round(fault, number, seed, references, references.folder)
        row.slowest = max(row.slowest, time.monotonic() - start)
        row.verdicts.append(verdict)
        told = "".join(f"\n    {each}" for each in verdict.wrong)
        print(f"{fault.name}, round {number}: {time.monotonic() - start:.0f} s{told}", flush=True)


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
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        references = References(Path(folder))
        rows = [Row(fault) for fault in faults]
        interrupted = False
        try:
            for row in rows:
                run_fault(row, options.rounds, options.seed, references)
        except KeyboardInterrupt:
            print("interrupted; so far:")
            interrupted = True
        finally:
            end_all_within(references.folder)
    _print_table(rows)
    return 130 if interrupted else int(any(each.wrong for row in rows for each in row.verdicts))


if __name__ == "__main__":
    sys.exit(main())
