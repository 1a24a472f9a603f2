"""Lightning callbacks."""

from naswot_lightning.callbacks.divergence import DivergedError, StopOnDivergence
from naswot_lightning.callbacks.metrics_table import MetricsTable
from naswot_lightning.callbacks.save_on_signal import SaveOnSignal, TrainingInterrupted
from naswot_lightning.callbacks.score_trajectory import ScoreTrajectory

__all__ = [
    "DivergedError",
    "MetricsTable",
    "SaveOnSignal",
    "ScoreTrajectory",
    "StopOnDivergence",
    "TrainingInterrupted",
]
