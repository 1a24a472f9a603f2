"""Files that wandb keeps on request (``--wandb.artifacts true``): the ranking, and the best checkpoint of a pick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from naswot_lightning.analysis.results import TrainingResult
from naswot_lightning.storage.run_folder import RunFolder

_OF_A_PICK = ("rank", "space", "architecture", "canonical", "dataset", "seed", "epochs", "best_val_acc", "test_acc")


def log_ranking(run: Any, folder: RunFolder) -> None:
    """Log the files of a ranking and the settings that it was made with, as ``ranking-<run id>``."""
    import wandb

    artifact = wandb.Artifact(f"ranking-{folder.run_id()}", type="ranking")
    for path in (folder.ranking, folder.ranking.with_suffix(".csv"), folder.config):
        artifact.add_file(str(path))
    run.log_artifact(artifact)


def log_checkpoint(run: Any, result: TrainingResult, checkpoint: Path) -> None:
    """Log the checkpoint of a pick's best epoch, as ``model-<id of the run>``.

    An offline run refers to the file in the run folder, where ``wandb sync`` takes it from.
    """
    import wandb

    metadata = {name: getattr(result, name) for name in _OF_A_PICK}
    artifact = wandb.Artifact(f"model-{run.id}", type="model", metadata=metadata)
    artifact.add_file(str(checkpoint.resolve()), policy="immutable")
    run.log_artifact(artifact, aliases=["latest", "best"])
