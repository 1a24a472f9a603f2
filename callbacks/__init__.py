"""Lightning callbacks."""

from callbacks.divergence import DivergedError, StopOnDivergence
from callbacks.metrics_table import MetricsTable
from callbacks.save_on_signal import SaveOnSignal, TrainingInterrupted
from callbacks.score_trajectory import ScoreTrajectory

__all__ = [
    "DivergedError",
    "MetricsTable",
    "SaveOnSignal",
    "ScoreTrajectory",
    "StopOnDivergence",
    "TrainingInterrupted",
]
