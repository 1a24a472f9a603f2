"""The run folder: its files, its lock, and the settings it belongs to."""

from __future__ import annotations

import os
import platform
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import atomic_write, lock_folder, remove_within, write_json
from naswot_lightning.storage.records import checked_list, parse_json, parse_yaml

# What a run writes, hence what --overwrite removes; anything else in the folder is the user's.
_FILES = (
    "config.yaml", "scores.jsonl", "ranking.json", "ranking.csv", "calibration.csv", "hardware.json", "operators.json",
    "comparison.csv", "comparison_seeds.csv", "evidence.json", "benchmark_evidence.json", "report.html",
    "versions.json", ".run_id", ".wandb_runs.json", "study/study.csv", "study/study.json", "study/study.png",
    "measured/ablation.jsonl", "measured/.lock", "loggers/.lock",
)  # fmt: skip
_FOLDERS = (
    "picks", "trials", "trials/picks", "figures", "wandb", "jobs", "study", "measured", "csv", "tensorboard", "loggers",
)  # fmt: skip
# Names of the folders that a run makes in these.
_NAMES_WITHIN = {
    "picks": r"(given|(control-)?[1-9]\d*)-[0-9a-f]+(-seed\d+)?",
    "trials/picks": r"[0-9a-f]{12}-\d+",
    "jobs": r"\d{8}-\d{6}-\w{8}",
}
# What a figure of ours holds within so many bytes of its beginning or its end.
FIGURE_MARK = b"naswot-lightning"
_END = 2000
_FIGURES = (".png", ".svg", ".pdf")
# What the last bits of a score can depend on.
_LIBRARIES = ("naswot-lightning", "torch", "torchvision", "numpy", "numba")

Versions = Mapping[str, str]


class MovedError(UserError):
    """A run folder is gone from its path while a command writes to it; the command exits with 1."""


class RunFolder:
    """One run's folder, which need not exist; ``option`` names it or a folder around it, for messages."""

    def __init__(self, path: str | Path, option: str = "--run_dir") -> None:
        if not str(path).strip() or any(character < " " for character in str(path)):
            raise UserError(f"{option} {str(path)!r}: expected the name of a folder, such as runs/mine")
        self.path, self._option = Path(path), option
        # The settings, in the form that --config reads.
        self.config = self.path / "config.yaml"
        # One finished candidate per line.
        self.scores = self.path / "scores.jsonl"
        self.ranking = self.path / "ranking.json"
        # Of the libraries that the search ran with.
        self.versions = self.path / "versions.json"
        self.picks = self.path / "picks"
        self.figures = self.path / "figures"
        self.report = self.path / "report.html"
        # Ids of the runs that were logged whole.
        self.wandb_runs = self.path / ".wandb_runs.json"

    @property
    def name(self) -> str:
        """The folder's own name, also where the path is "." or a link."""
        return self.path.resolve().name

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder, which is made where it does not exist; one that was moved meanwhile is a MovedError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise UserError(
                f"{self._option} {self.path}: expected a folder, but this is a file; choose another name"
            ) from None
        self.reject_symlinks()
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
        remains = f"; the files now in {self.path} are incomplete: remove them" if exists else ""
        raise MovedError(
            f"{self.path} was moved or removed while this command ran: to continue, run the same command with "
            f"{self._option} set to its new place{remains}"
        )

    def reject_symlinks(self) -> None:
        """Raise :class:`UserError` where a link stands in the place of a folder of the run."""
        # A folder that somebody else sent could otherwise have files written elsewhere.
        for name in (*_FOLDERS, ".images"):
            if (self.path / name).is_symlink():
                raise UserError(
                    f"{self.path / name} is a link, but a run keeps a folder here: move it away, or remove it"
                )

    @contextmanager
    def open(
        self, config: dict[str, Any], identity: Mapping[str, Any], overwrite: bool, defaults: Mapping[str, Any]
    ) -> Iterator[None]:
        """Create or continue the folder under its lock, and save all settings in it.

        Those of ``identity`` decide the results: where they differ, it begins anew if it may overwrite. A setting that
        an older folder lacks had its default.
        """
        with self.lock():
            if self.config.exists() or self.scores.exists():
                try:
                    changed = differing({**defaults, **self.read_config()}, identity)
                except UserError:
                    if not overwrite:
                        raise
                    changed = ["unreadable"]
                if changed and not overwrite:
                    raise UserError(
                        f"{self.path} was made with different settings: {'; '.join(changed)}; "
                        f"choose another {self._option}, or use --overwrite to start over"
                    )
                if changed:
                    self._clear()
            atomic_write(self.config, yaml.safe_dump(config, sort_keys=False))
            yield

    def run_id(self) -> str:
        """Return the id of this run, which stays the same when it is continued; call it only under the lock.

        Its file also marks the folder as a run's: without it nothing in the folder is ever removed.
        """
        file = self.path / ".run_id"
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            run_id = uuid.uuid4().hex[:8]
            atomic_write(file, run_id + "\n")
            return run_id
        if not re.fullmatch(rb"[0-9a-f]{8}\n?", content):
            raise UserError(f"{file} is damaged: expected eight hexadecimal digits; remove the file")
        return content.decode().strip()

    def read_config(self) -> dict[str, Any]:
        """Return the saved settings; where there are none, or they are not YAML settings, a UserError."""
        try:
            content = self.config.read_bytes()
        except FileNotFoundError:
            first = f"run naswot search --run_dir {self.path} first, or pass --architecture"
            raise UserError(f"no run in {self.path}: {first}") from None
        try:
            saved = parse_yaml(content.decode())
            if not isinstance(saved, dict):
                raise ValueError("no settings in it")
        except ValueError as error:
            cure = "restore it, or use --overwrite to start over"
            raise UserError(f"{self.config} is damaged ({error}): {cure}") from None
        return saved

    def _clear(self) -> None:
        """Remove what the run wrote; what else lies in the folder stays."""
        if not (self.path / ".run_id").exists():
            unmarked = (
                f"{self.path} is not marked as a run folder (it has no file .run_id), so nothing in it is removed"
            )
            raise UserError(f"{unmarked}; choose another {self._option}, or remove it yourself")
        run_id = self.run_id()
        folders = [path for path in self.path.glob("wandb/*run-*/") if run_id in path.name.split("-")]
        for name, pattern in _NAMES_WITHIN.items():
            folders += [path for path in self.path.glob(f"{name}/*/") if re.fullmatch(pattern, path.name)]
        # Of --logger. MLflow's data base and artifacts are those of this run where it has sent something there.
        folders += [path for name in ("csv", "tensorboard") for path in self.path.glob(f"{name}/{run_id}-*/")]
        sent = list(self.path.glob(f"loggers/*-{run_id}-*.json"))
        if any(path.name.startswith("mlflow-") for path in sent):
            folders += self.path.glob("mlartifacts/")
            sent.append(self.path / "mlflow.db")
        figures = [path for path in self.figures.glob("*") if path.suffix in _FIGURES and path.is_file()]
        # PDF keeps at its end what PNG and SVG keep at the beginning.
        ours = [path for path in figures if FIGURE_MARK in (content := path.read_bytes())[:_END] + content[-_END:]]
        for folder in folders:
            remove_within(self.path, folder)
        for path in (*(self.path / name for name in _FILES), *ours, *sent):
            path.unlink(missing_ok=True)
        for name in reversed(_FOLDERS):
            # It is not there, or holds what is the user's.
            with suppress(OSError):
                (self.path / name).rmdir()


def differing(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the differences between saved and current settings in words.

    >>> differing({"seed": 0, "top": 3}, {"seed": 1, "top": 3})
    ['seed was 0, now 1']
    """
    # Of --device auto on another machine the kind of device is not known.
    known = {name: value for name, value in now.items() if name != "device" or "auto" not in (value, saved.get(name))}
    changed = [name for name, value in known.items() if saved.get(name) != value]
    return [f"{name} was {saved.get(name)!r}, now {now[name]!r}" for name in changed]


def note_versions(path: Path) -> None:
    """Add the versions of Python and of the libraries of this process where the last ones of the file are others."""
    here = {"python": platform.python_version()}
    for name in _LIBRARIES:
        # A checkout that is not installed has no version of its own.
        with suppress(PackageNotFoundError):
            here[name] = version(name)
    known = read_versions(path)
    if not known or known[-1] != here:
        write_json(path, [*known, here])


def read_versions(path: Path) -> Sequence[Versions]:
    """Return the sets of versions of a ``versions.json``, the first one first; none where there is no such file."""
    try:
        content = parse_json(path.read_bytes())
        return checked_list(dict[str, str], content if isinstance(content, list) else [None])
    except FileNotFoundError:
        return ()
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): remove it; no result depends on it") from None
