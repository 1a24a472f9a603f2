"""Figure 5: what the score of a network depends on besides the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from naswot_lightning.analysis.measurements import (
    ABLATIONS,
    SIZES,
    AblationHeader,
    Sample,
    SelectedNetwork,
    relative_scores,
)
from naswot_lightning.console import print_table
from naswot_lightning.diagnostics.ablation import AblationPlan, measure_ablation, select_by_percentile
from naswot_lightning.errors import UserError
from naswot_lightning.execution.resources import get_device
from naswot_lightning.report.figures import save_figure
from naswot_lightning.report.figures.boxes import draw_ablation
from naswot_lightning.reproduce.accuracies import every_data_set, of_data_set
from naswot_lightning.reproduce.images import images_of
from naswot_lightning.reproduce.result_row import Spread
from naswot_lightning.reproduce.settings import AblationSettings
from naswot_lightning.reproduce.tables import open_table, scored_space
from naswot_lightning.storage.files import write_csv
from spaces import get_space

_CSV = ("ablation", "percentile", "architecture", "accuracy", "sample", "batch_size", "score")
_PAPER = "cifar100"  # whose accuracies and images the paper takes


def reproduce(settings: AblationSettings) -> int:
    """Score ten networks in all ways; print, write and draw the scores.

    Raises:
        UserError: the table, the data set or the device is at fault.
    """
    table = open_table(settings)
    datasets = [known.dataset for known in every_data_set(table)]
    known = of_data_set(table, _PAPER if _PAPER in datasets else datasets[0])
    networks = select_by_percentile(table.architectures, known.values, settings.seed)
    if not networks:
        raise UserError(f"--benchmark {settings.benchmark[0]}: it knows no accuracy ({known.label})")
    images = images_of(settings.dataset, known.dataset)
    path = Path(settings.out) / "figure5"
    plan = _plan(settings, networks, scored_space(settings, table), images, f"{table.name}: {known.label}")
    samples = measure_ablation(plan, path.with_suffix(".jsonl"), settings.overwrite).samples
    title = f"{table.space}, percentiles of {known.label}, {settings.samples} scores each way, images of {images}"
    _print(title, networks, samples)
    write_csv(path.with_suffix(".csv"), map(_csv_row, samples), _CSV)
    save_figure(draw_ablation(networks, samples, title), path.with_suffix(".png"))
    print(f"{path.with_suffix('.csv')}, {path.with_suffix('.png')}")
    return 0


def _plan(
    settings: AblationSettings, networks: Sequence[SelectedNetwork], space: str, images: str, source: str
) -> AblationPlan:
    conditions = AblationHeader(
        space=space,
        images=images,
        image_size=settings.image_size if images == "imagefolder" else None,
        probe_size=None,
        split_file=None,
        batch_size=settings.batch_size,
        seed=settings.seed,
        canonical=settings.canonical,
        source=source,
        networks=tuple(networks),
    )
    sizes = tuple(dict.fromkeys(settings.batch_sizes))
    return AblationPlan(
        get_space(space), conditions, settings.data_dir, settings.samples, sizes, get_device(settings.device)
    )


def _print(title: str, networks: Sequence[SelectedNetwork], samples: Sequence[Sample]) -> None:
    print(title)
    print_table("", ("percentile", "accuracy (%)", *ABLATIONS), (_line(network, samples) for network in networks))
    print(f"Mean ± standard deviation; {SIZES}: divided by the lowest score of the same size.")


def _line(network: SelectedNetwork, samples: Sequence[Sample]) -> list[object]:
    *scores, shares = _spreads(network, samples)
    finely = None if shares is None else f"{shares.mean:.4f} ± {shares.std or 0.0:.4f}"
    return [f"{network.percentile} to {network.percentile + 5}", network.accuracy, *scores, finely]


def _spreads(network: SelectedNetwork, samples: Sequence[Sample]) -> Iterator[Spread | None]:
    for ablation in ABLATIONS:
        own = [sample for sample in samples if sample.ablation == ablation]
        values = relative_scores(own) if ablation == SIZES else [sample.score for sample in own]
        yield Spread.of([value for value, sample in zip(values, own, strict=True) if sample.network == network])


def _csv_row(sample: Sample) -> dict[str, object]:
    return {
        "ablation": sample.ablation, "percentile": sample.network.percentile,
        "architecture": sample.network.architecture, "accuracy": sample.network.accuracy, "sample": sample.number,
        "batch_size": sample.batch_size, "score": None if sample.score != sample.score else sample.score,
    }  # fmt: skip
