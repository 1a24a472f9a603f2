"""Simulate what true difference between two taus n networks show: the table of docs/study.md.

``python docs/scripts/simulate_power.py`` prints it, in two minutes. Accuracy and two scores are normal, with the given
Kendall taus between each two. A study sees the difference where its paired bootstrap interval excludes 0.
"""

from __future__ import annotations

import numpy as np

from naswot_lightning.analysis.evidence import detectable
from naswot_lightning.analysis.statistics import estimate_of, resampled_tau, with_resamples

# Taus of the better score, of the worse one, and between them, as on NAS-Bench-201: see the table of docs/study.md.
CASES = ((0.70, 0.57, 0.70), (0.67, 0.57, 0.65), (0.70, 0.50, 0.65), (0.70, 0.40, 0.55))
SIZES = (20, 50, 100, 200)
STUDIES = 300
# Of each study's 2,000 resamples, which change the share that is seen by less than its own error.
RESAMPLES = 300


def simulate(n: int, first: float, second: float, between: float, studies: int = STUDIES) -> tuple[float, float]:
    """Return the share of studies that see the difference of the first two taus, and what they say they show."""
    # Of normal values the correlation is sin(pi tau / 2) (Greiner 1909).
    correlations = np.sin(np.pi / 2 * np.array([[1, first, second], [first, 1, between], [second, between, 1]]))
    factor = np.linalg.cholesky(correlations)
    rng, counts = np.random.default_rng(n), with_resamples(n)[: 1 + RESAMPLES]
    seen, shown = [], []
    for _ in range(studies):
        accuracy, better, worse = factor @ rng.standard_normal((3, n))
        taus = (resampled_tau(score, accuracy, counts) for score in (better, worse))
        difference = estimate_of(np.subtract(*taus), n)
        seen.append((difference.low or 0) > 0 or (difference.high or 0) < 0)
        shown.append(detectable(difference) or np.nan)
    return float(np.mean(seen)), float(np.median(shown))


def main() -> None:
    """Print a line per case and number of networks."""
    print("taus      between  difference  networks  seen in  say they show")
    for first, second, between in CASES:
        for n in SIZES:
            seen, shown = simulate(n, first, second, between)
            case = f"{first:.2f} {second:.2f}  {between:7.2f}  {first - second:10.2f}"
            print(f"{case}  {n:8}  {seen:7.0%}  {shown:13.2f}")


if __name__ == "__main__":
    main()
