"""What some figures show that no file of a run holds: it is measured once, and kept in the run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from naswot_lightning.analysis.known import Known
from naswot_lightning.diagnostics.ablation import Plan
from naswot_lightning.diagnostics.ablation import measure as ablate
from naswot_lightning.diagnostics.looks import is_of, look
from naswot_lightning.diagnostics.rebuilt import Rebuilt, rebuilt
from naswot_lightning.diagnostics.samples import Conditions, best_networks, chosen_networks, samples_of
from naswot_lightning.diagnostics.similarities import Kind, Similarities, kept_in
from naswot_lightning.errors import UserError
from naswot_lightning.report.known import known
from naswot_lightning.report.run import Run
from naswot_lightning.report.settings import ReportConfig
from naswot_lightning.storage.run_folder import RunFolder
from spaces import trust

_FEW = 20  # networks with an accuracy; of fewer there is none in some 5 % of the accuracies


def measure(figure: str, folder: RunFolder, run: Run, config: ReportConfig) -> None:
    """Measure what a figure shows, unless the run folder keeps it; of any other figure nothing.

    Raises:
        UserError: no accuracy is known by which networks can be chosen; or the space, the data set or the device is at
            fault.
    """
    if figure not in _MEASURES:
        return
    found = known(run)
    if found is None:
        raise UserError(
            f"{figure}: no accuracy is known in {folder.path}; search with --benchmark, or train picks: "
            f"train.py --run_dir {folder.path} --top 10 --select spread"
        )
    if config.trust:
        trust(found.space)
    networks = rebuilt(found.space, found.images, run.settings, config.data_dir, config.device)
    _MEASURES[figure](folder, run, found, networks, config)


def _look(kind: Kind, folder: RunFolder, run: Run, found: Known, networks: Rebuilt, config: ReportConfig) -> None:
    kept: Similarities | None = getattr(run, kind)
    if kept is None or not is_of(kept, found, networks):
        look(kind, found, networks).write(kept_in(folder.path, kind))


def _ablate(folder: RunFolder, run: Run, found: Known, networks: Rebuilt, config: ReportConfig) -> None:
    few = len(found.accuracies) < _FEW
    own = found.architectures, found.accuracies
    conditions = Conditions(
        space=networks.space.name,
        images=networks.images,
        image_size=networks.setting("image_size"),
        probe_size=networks.setting("probe_size"),
        split_file=networks.setting("split_file"),
        batch_size=networks.setting("batch_size"),
        seed=networks.setting("seed"),
        canonical=bool(run.settings.get("canonical", True)),
        source=found.source,
        networks=tuple(best_networks(*own) if few else chosen_networks(*own, networks.setting("seed"))),
    )
    sizes = tuple(dict.fromkeys(config.batch_sizes))
    plan = Plan(networks.space, conditions, networks.data_dir, config.samples, sizes, networks.device)
    ablate(plan, samples_of(folder.path), config.overwrite)


_MEASURES: Mapping[str, Callable[[RunFolder, Run, Known, Rebuilt, ReportConfig], None]] = {
    "figure1": partial(_look, "kernels"),
    "figure5": _ablate,
    "jacobian_histograms": partial(_look, "jacobians"),
}
