"""What some figures show that no file of a run holds: it is measured once, and kept in the run folder."""

from __future__ import annotations

from naswot_lightning.analysis.measurements import AblationHeader, MatrixKind, ablation_path, similarities_path
from naswot_lightning.diagnostics.ablation import AblationPlan, measure_ablation, select_best, select_by_percentile
from naswot_lightning.diagnostics.similarities import RunNetworks, are_current, compute_similarities
from naswot_lightning.errors import UserError
from naswot_lightning.execution.resources import get_device
from naswot_lightning.report.findings import networks_with_accuracy
from naswot_lightning.report.run import Run
from naswot_lightning.report.settings import ReportConfig
from naswot_lightning.spaces import known_space, trust
from naswot_lightning.storage.run_folder import RunFolder

# Of fewer networks with an accuracy there is none in some 5 % of the accuracies.
_FEW = 20


def measure_for_figure(figure: str, folder: RunFolder, run: Run, config: ReportConfig) -> None:
    """Measure what a figure shows, unless the run folder keeps it; of any other figure nothing."""
    if figure not in ("figure1", "figure5", "jacobian_histograms"):
        return
    found = networks_with_accuracy(run)
    if found is None:
        raise UserError(
            f"{figure}: no accuracy is known in {folder.path}; search with --benchmark, or train picks: "
            f"naswot train --run_dir {folder.path} --top 10 --select spread"
        )
    if config.trust:
        trust(found.space)
        trust(found.images)
    data_dir = str(run.settings.get("data_dir", "data")) if config.data_dir is None else config.data_dir
    networks = RunNetworks(known_space(found.space), found.images, data_dir, run.settings, get_device(config.device))
    if figure == "figure5":
        known = found.architectures, found.accuracies
        few, seed = len(found.accuracies) < _FEW, networks.setting("seed")
        names = ("image_size", "probe_size", "split_file", "batch_size", "seed")
        same = {name: networks.setting(name) for name in names}
        header = AblationHeader(
            **same,
            space=networks.space.name,
            images=networks.images,
            canonical=bool(run.settings.get("canonical", True)),
            source=found.source,
            networks=tuple(select_best(*known) if few else select_by_percentile(*known, seed)),
        )
        sizes = tuple(dict.fromkeys(config.batch_sizes))
        plan = AblationPlan(networks.space, header, data_dir, config.samples, sizes, networks.device)
        measure_ablation(plan, ablation_path(folder.path), config.overwrite)
        return
    kind: MatrixKind
    kind, kept = ("kernels", run.kernels) if figure == "figure1" else ("jacobians", run.jacobians)
    if kept is None or not are_current(kept, found, networks):
        compute_similarities(kind, found, networks).write(similarities_path(folder.path, kind))
