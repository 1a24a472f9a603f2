"""The run folder: the files that are the truth of a run, and the settings they belong to."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import atomic_write, lock_folder, remove_within
from naswot_lightning.storage.plain_yaml import parse_yaml

# What a run writes, hence what --overwrite removes; anything else in the folder is the user's.
_RUN_FILES = (
    "config.yaml", "scores.jsonl", "ranking.json", "ranking.csv", "calibration.csv", "comparison.csv",
    "comparison_seeds.csv", "evidence.json", "benchmark_evidence.json", "report.html", "versions.json", ".run_id",
    ".wandb_runs.json",
)  # fmt: skip
_RUN_FOLDERS = ("picks", "trials", "trials/picks", "figures", "wandb", "jobs", "study", "measured")
_STUDY = ("study.csv", "study.json", "study.png")
_MEASURED = ("kernels.npz", "jacobians.npz", "ablation.jsonl", ".lock")
_MARK = re.compile(r"[0-9a-f]{8}\n?")  # the content of .run_id
_PICK = re.compile(r"(given|[1-9]\d*)-[0-9a-f]+(-seed\d+)?")
_TRIAL = re.compile(r"[0-9a-f]{12}-\d+")  # a short training of a search
_JOBS = re.compile(r"\d{8}-\d{6}-\w{8}")  # the jobs of one command
FIGURE_MARK = b"naswot-lightning"  # in the first or the last bytes of a figure
_FIGURES = (".png", ".svg", ".pdf")
_END = 2000  # bytes
# What a run did before these options existed.
_FORMERLY: dict[str, Any] = {
    "split_file": None, "select": "top", "evaluator": "scores", "shard": None, "budget": None, "epochs": None,
    "train": {}, "benchmark_dataset": None,
}  # fmt: skip


class MovedError(UserError):
    """A run folder is gone from its path while a command writes to it; the command exits with 1."""


class RunFolder:
    """One run's folder.

    Args:
        path: the folder; it need not exist.
        option: of the command, that names it or a folder around it; for messages.
    """

    def __init__(self, path: str | Path, option: str = "--run_dir") -> None:
        if not str(path).strip() or any(character < " " for character in str(path)):
            raise UserError(f"{option} {str(path)!r}: expected the name of a folder, such as runs/mine")
        self.path, self._option = Path(path), option

    @property
    def name(self) -> str:
        """The folder's own name, also where the path is "." or a link."""
        return self.path.resolve().name

    @property
    def scores(self) -> Path:
        """The finished candidates, one JSON object a line."""
        return self.path / "scores.jsonl"

    @property
    def ranking(self) -> Path:
        """The ranking, best first."""
        return self.path / "ranking.json"

    @property
    def wandb_runs(self) -> Path:
        """The ids of the wandb runs of search and comparison that were logged whole."""
        return self.path / ".wandb_runs.json"

    @property
    def config(self) -> Path:
        """The settings of the run, in the form that ``--config`` reads."""
        return self.path / "config.yaml"

    @property
    def versions(self) -> Path:
        """The versions of the libraries that the search ran with."""
        return self.path / "versions.json"

    @property
    def picks(self) -> Path:
        """A folder for each trained pick."""
        return self.path / "picks"

    @property
    def report(self) -> Path:
        """The page of the run."""
        return self.path / "report.html"

    @property
    def figures(self) -> Path:
        """The figures."""
        return self.path / "figures"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder's lock; the folder is made where it does not exist.

        Raises:
            UserError: there is a file of that name, or another process is at work in it.
            MovedError: at the end, where the folder has been moved or removed meanwhile.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise UserError(f"{self._option} {self.path}: there is a file of that name; choose another") from None
        self.expect_own_folders()
        with lock_folder(self.path, option=self._option):
            self._held = self.path.stat()
            try:
                yield
            finally:
                self.expect_in_place()

    def expect_in_place(self) -> None:
        """Raise :class:`MovedError` where the folder that is held no longer lies under its path."""
        exists = self.path.exists()
        if exists and os.path.samestat(self._held, self.path.stat()):
            return
        remains = f"; what lies in {self.path} now is not whole: remove it" if exists else ""
        raise MovedError(
            f"{self.path} was moved or removed while this command ran: the same command continues with {self._option} "
            f"of where it lies now{remains}"
        )

    def expect_own_folders(self) -> None:
        """Raise :class:`UserError` where a link stands in the place of a folder of the run."""
        for name in (*_RUN_FOLDERS, ".images"):
            if (self.path / name).is_symlink():
                raise UserError(f"{self.path / name} is a link where a run keeps a folder: move it away, or remove it")

    @contextmanager
    def open(self, config: dict[str, Any], identity: Mapping[str, Any], overwrite: bool = False) -> Iterator[None]:
        """Create or continue the folder under its lock.

        Args:
            config: all settings, saved.
            identity: those that decide the results; a folder belongs to one set of them.
            overwrite: begin anew where they differ, instead of an error.

        Raises:
            UserError: the folder was made with other settings, or another process is at work in it.
        """
        with self.lock():
            self._continue_or_clear(identity, overwrite)
            atomic_write(self.config, yaml.safe_dump(config, sort_keys=False))
            yield

    def run_id(self) -> str:
        """Return a name of this run that stays the same whenever it is continued; only under the lock.

        It is also the mark that the folder is a run's: without it nothing in the folder is ever removed.

        Raises:
            UserError: the file that holds it is damaged.
        """
        file = self.path / ".run_id"
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            run_id = uuid.uuid4().hex[:8]
            atomic_write(file, run_id + "\n")
            return run_id
        if not _MARK.fullmatch(content.decode("latin-1")):
            raise UserError(f"{file} is damaged: expected eight digits from 0 to f; remove the file")
        return content.decode().strip()

    def read_config(self) -> dict[str, Any]:
        """Return the saved settings.

        Raises:
            UserError: there are none, or they are not YAML settings.
        """
        try:
            content = self.config.read_bytes()
        except FileNotFoundError:
            raise UserError(
                f"no run in {self.path}: run search.py --run_dir {self.path} first, or pass --architecture"
            ) from None
        try:
            saved = parse_yaml(content.decode())
            if not isinstance(saved, dict):
                raise ValueError("no settings")
        except ValueError as error:
            cure = "restore it, or use --overwrite to begin anew"
            raise UserError(f"{self.config} is damaged ({error}): {cure}") from None
        return {**_FORMERLY, **saved}

    def _continue_or_clear(self, identity: Mapping[str, Any], overwrite: bool) -> None:
        if not self.config.exists() and not self.scores.exists():
            return
        if overwrite:
            differing = ["unreadable"] if not self._readable() else self._differing(identity)
            if differing:
                self._clear()
        elif differing := self._differing(identity):
            raise UserError(
                f"{self.path} was made with other settings: {'; '.join(differing)}; "
                f"choose another {self._option}, or use --overwrite to begin anew"
            )

    def _readable(self) -> bool:
        try:
            self.read_config()
        except UserError:
            return False
        return True

    def _differing(self, identity: Mapping[str, Any]) -> list[str]:
        return differing(self.read_config(), identity)

    def _clear(self) -> None:
        """Remove what the run wrote; what else lies in the folder stays.

        Raises:
            UserError: the folder does not carry the mark of a run.
        """
        if not (self.path / ".run_id").exists():
            raise UserError(
                f"{self.path} does not carry the mark of a run of ours (.run_id), so nothing in it is removed; "
                f"choose another {self._option}, or remove it yourself"
            )
        files = [*self._figures(), *self._of_study(), *(self.path / name for name in _RUN_FILES)]
        for path in files:  # before anything is removed
            if path.is_dir() and not path.is_symlink():
                raise UserError(f"{path} is a folder where a run keeps a file: nothing is removed; move it away")
        for folder in self._folders_of(self.run_id()):
            remove_within(self.path, folder)
        for path in files:
            path.unlink(missing_ok=True)  # of a link the link alone
        for folder in (self.picks, self.figures, self.path / "jobs", self.path / "study", self.path / "measured"):
            if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
                folder.rmdir()

    def _folders_of(self, run_id: str) -> list[Path]:
        """Return the folders of picks, of jobs, and of this run's runs in wandb."""
        picks = [path for path in self.picks.glob("*/") if _PICK.fullmatch(path.name)]
        trials = [path for path in self.path.glob("trials/picks/*/") if _TRIAL.fullmatch(path.name)]
        jobs = [path for path in self.path.glob("jobs/*/") if _JOBS.fullmatch(path.name)]
        runs = [path for path in self.path.glob("wandb/*run-*/") if run_id in path.name.split("-")]
        return [*picks, *trials, *jobs, *runs]

    def _of_study(self) -> list[Path]:
        """Return what a study wrote, and what was measured for figures."""
        names = [*(f"study/{name}" for name in _STUDY), *(f"measured/{name}" for name in _MEASURED)]
        return [path for name in names if (path := self.path / name).is_file()]

    def _figures(self) -> list[Path]:
        """Return the figures that carry our mark."""
        files = (path for path in self.figures.glob("*") if path.suffix in _FIGURES and path.is_file())
        return [path for path in files if FIGURE_MARK in _ends(path)]


def _ends(path: Path) -> bytes:
    """Return the first and the last bytes of a file: PDF keeps at its end what PNG and SVG keep at the beginning."""
    with open(path, "rb") as file:
        head = file.read(_END)
        file.seek(max(path.stat().st_size - _END, len(head)))
        return head + file.read()


def differing(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words what differs between saved settings and those of now.

    >>> differing({"seed": 0, "top": 3}, {"seed": 1, "top": 3})
    ['seed was 0, now 1']
    """
    return [f"{name} was {saved.get(name)!r}, now {value!r}" for name, value in now.items() if saved.get(name) != value]
