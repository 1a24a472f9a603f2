"""Every reader of what comes from outside: how a valid file is made, and how the product reads it."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from naswot_lightning.analysis.measurements import MatrixKind
from naswot_lightning.config import SearchConfig, TrainConfig
from spaces import list_spaces
from tests.fuzz import given_files, kept_files, run_files, spaces_text


@dataclass(frozen=True)
class Reader:
    """A reader.

    Attributes:
        name: of the report.
        make: valid files by their names.
        read: as the product reads them, and goes on with what it read.
        share: of the inputs, relative to the others.
        whole: files that are never mutated.
        most_seconds: of work on one input.
    """

    name: str
    make: Callable[[random.Random], Mapping[str, bytes]]
    read: Callable[[Path], None]
    share: float = 1.0
    whole: tuple[str, ...] = ()
    most_seconds: float = 2.0


_LISTED = ("nasbench201", "nasbench101", "nds_darts", "nds_resnext_b")
_KINDS: tuple[MatrixKind, ...] = ("kernels", "jacobians")
_SAMPLES = ("ablation.jsonl", "figure5.jsonl")  # of a run, and of a reproduction

_ALL = (
    Reader("scores.jsonl", run_files.make_scores, run_files.read_scores, 2.0),
    Reader("ranking.json", run_files.make_ranking, run_files.read_a_ranking, 2.0),
    Reader("result.json, trajectory.csv", run_files.make_results, run_files.read_results_of_a_run, 2.0),
    Reader("figures of results", run_files.make_results, run_files.draw_results_of_a_run, 0.25, (), 10.0),
    Reader("config.yaml of a run", run_files.make_run, run_files.read_a_run, 2.0),
    Reader("config.yaml of a pick", run_files.make_pick, run_files.read_a_pick, 2.0),
    Reader("config.yaml of a planned pick", run_files.make_pick, run_files.read_a_pick_that_is_planned),
    Reader("outcome.json", run_files.make_outcome, run_files.read_an_outcome),
    Reader(".sent.json", run_files.make_sent, run_files.read_sent),
    Reader(".wandb_runs.json", run_files.make_wandb_runs, run_files.read_wandb_runs),
    Reader(".run_id", run_files.make_run_id, run_files.read_run_id, 0.5),
    Reader("versions.json", kept_files.make_versions, kept_files.read_the_versions, 1.0, kept_files.RUN),
    Reader("benchmark_evidence.json", kept_files.make_evidence, kept_files.read_the_evidence, 1.0, kept_files.RUN),
    *(
        Reader(f"measured/{kind}.npz", kept_files.make_matrices_of(kind), kept_files.read_matrices_of(kind))
        for kind in _KINDS
    ),
    *(Reader(name, kept_files.make_samples_of(name), kept_files.read_samples_of(name)) for name in _SAMPLES),
    Reader(
        "figures of what was measured",
        kept_files.make_measured,
        kept_files.draw_what_was_measured,
        0.25,
        kept_files.RUN,
        10.0,
    ),
    Reader("--config of search.py", given_files.make_config_of(SearchConfig), given_files.read_search_config),
    Reader("--config of train.py", given_files.make_config_of(TrainConfig), given_files.read_train_config),
    *(
        Reader(f"--architectures, {name}", given_files.make_list_of(name), given_files.read_list_of(name))
        for name in _LISTED
    ),
    Reader("--split_file", given_files.make_split, given_files.read_split),
    Reader("image folder", given_files.make_images, given_files.read_images, 2.0),
    *(
        Reader(f"architecture, {name}", spaces_text.make_architecture_of(name), spaces_text.read_architecture_of(name))
        for name in list_spaces()
    ),
    Reader("name of a space", spaces_text.make_space_name, spaces_text.read_space_name),
)
READERS = {reader.name: reader for reader in _ALL}


def inputs_of(reader: Reader, inputs: int) -> int:
    """How many of so many inputs over all readers one of them gets: its share, rounded up."""
    return -int(-inputs * reader.share // sum(each.share for each in _ALL))
