"""Kendall's tau by its definition: over the signs of all pairs."""

import math

import numpy as np


def signs(values):
    return np.sign(np.subtract.outer(values, values))


def tau_of_pairs(x, y):
    """Concordant less discordant pairs, of the pairs that differ (tau-b); NaN where none does."""
    a, b = signs(x), signs(y)
    scale = math.sqrt(np.abs(a).sum() * np.abs(b).sum())
    return (a * b).sum() / scale if scale else math.nan
