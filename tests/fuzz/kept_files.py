"""What a run folder keeps for its page and figures: versions, evidence of a table, matrices, scores of Figure 5."""

import random
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from naswot_lightning.analysis.evidence import correlations, judge
from naswot_lightning.analysis.measurements import (
    ABLATIONS,
    AblationHeader,
    MatrixKind,
    SelectedNetwork,
    Similarities,
    SimilarityMetadata,
    read_ablation,
    read_similarities,
    similarities_path,
)
from naswot_lightning.analysis.results import Network
from naswot_lightning.report.figures import draw_figure
from naswot_lightning.report.findings import find
from naswot_lightning.report.run import read_run
from naswot_lightning.storage.json_lines import JsonLines
from naswot_lightning.storage.run_folder import RunFolder, note_versions, read_versions
from tests.fuzz.run_files import dumped, make_run
from tests.report.html.folders import write_page
from tests.runs import training_result

RUN = ("config.yaml", "ranking.json")  # beside what is mutated
_SPACE = "nasbench201"
_LEFT_OUT = (None, None, 0.5, -3.0, 300.25)


def make_versions(rng):
    sets = [{"python": f"3.{rng.randrange(9, 14)}", "torch": "2.4.0+cpu"} for _ in range(rng.randrange(1, 4))]
    return {**make_run(rng), "versions.json": dumped(sets)}


def read_the_versions(folder: Path) -> None:
    """Add the versions of this process, as a search does, and show all of them."""
    note_versions(folder / "versions.json")
    assert read_versions(folder / "versions.json")
    write_page(folder)


def make_evidence(rng):
    found = [Network((training_result(number),)) for number in range(1, rng.choice((2, 3, 8)))]
    share = rng.choice((None, 0.5, 0.94))
    known = {"networks": len(found), "candidates": 9, "pick": share, "best_candidate": 0.94, "best": 0.95}
    judged = {
        "correlations": {name: asdict(each) for name, each in correlations(found, "test_acc").items()},
        "verdict": asdict(judge(found)),
    }
    target = {"dataset": "cifar10", "split": "test", "epochs": rng.choice((0, 200))}
    return {
        **make_run(rng),
        "benchmark_evidence.json": dumped({"benchmark": "mine", "target": target, **known, **judged}),
    }


def read_the_evidence(folder: Path) -> None:
    """Show on the page what the accuracies of a table say."""
    write_page(folder)


@cache
def _matrices(kind: MatrixKind, seed: int) -> bytes:
    rng, count = np.random.default_rng(seed), 1 + seed % 3
    numbers = tuple(range(count))
    metadata = SimilarityMetadata(
        kind, _SPACE, "digits", 4, "probe", seed, "mine", count, tuple(f"a{number}" for number in numbers),
        tuple(50.0 + number for number in numbers), tuple(number // 2 for number in numbers), 0,
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        Similarities(metadata, rng.random((count, 4, 4), np.float32)).write(Path(folder, "x.npz"))
        return Path(folder, "x.npz").read_bytes()


def make_matrices_of(kind: MatrixKind) -> Callable:
    def make(rng):
        return {f"measured/{kind}.npz": _matrices(kind, rng.randrange(6))}

    return make


def read_matrices_of(kind: MatrixKind) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        """Read the matrices, and write them again."""
        found = read_similarities(folder, kind)
        assert found is not None
        found.write(similarities_path(folder, kind))
        again = read_similarities(folder, kind)
        assert again is not None
        assert again.metadata == found.metadata
        assert np.array_equal(again.matrices, found.matrices)

    return read


def _header() -> AblationHeader:
    chosen = tuple(SelectedNetwork(50 + 5 * number, f"a{number}", 60.0 + number) for number in range(3))
    return AblationHeader(_SPACE, "digits", None, None, None, 16, 0, True, "mine", chosen)


def _line(rng: random.Random, ablation: str, number: int) -> dict[str, object]:
    scores = [rng.choice((rng.gauss(300, 9),) * 9 + _LEFT_OUT) for _ in _header().networks]
    return {"ablation": ablation, "number": number, "batch_size": rng.choice((16, 32)), "scores": scores}


def make_samples_of(name: str) -> Callable:
    def make(rng):
        lines = [
            _line(rng, ablation, number) for number, ablation in enumerate(rng.sample(ABLATIONS, rng.randrange(5)))
        ]
        return {name: b"".join(dumped(line) + b"\n" for line in (asdict(_header()), *lines))}

    return make


def read_samples_of(name: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        """Read the scores, as figures do; then go on behind the last one, as measuring does."""
        before = read_ablation(folder / name)
        with JsonLines(folder / name) as file:
            if before is None:
                file.append(asdict(_header()))
            file.append({"ablation": ABLATIONS[0], "number": 77, "batch_size": 16, "scores": [1.0, None, 3.0]})
        kept = read_ablation(folder / name)
        assert kept is not None
        if before is None or len(before.header.networks) == 3:
            assert len(kept.samples) == 3 + (0 if before is None else len(before.samples))

    return read


def make_measured(rng):
    """All of them in one folder."""
    kernels, jacobians = (make_matrices_of(kind)(rng) for kind in ("kernels", "jacobians"))
    return {**make_run(rng), **kernels, **jacobians, **make_samples_of("measured/ablation.jsonl")(rng)}


def draw_what_was_measured(folder: Path) -> None:
    run = read_run(RunFolder(folder))
    for name in ("figure1", "jacobian_histograms", "figure5"):
        draw_figure(name, run, find(run), [folder / "figures" / f"{name}.png"])
