"""Lightning callbacks."""

from callbacks.metrics_table import MetricsTable
from callbacks.score_trajectory import ScoreTrajectory

__all__ = ["MetricsTable", "ScoreTrajectory"]
