"""The comparison of trained picks: does a higher score mean a higher accuracy?"""

from __future__ import annotations

from naswot_lightning.report.figures import draw_figures
from naswot_lightning.report.findings import find
from naswot_lightning.report.html.write import offer_report
from naswot_lightning.report.run import read_run
from naswot_lightning.report.tables import write_comparison, write_seeds
from naswot_lightning.report.terminal import print_report
from naswot_lightning.report.wandb.comparison import ComparisonRun
from naswot_lightning.storage.files import write_json


def compare(tracked: ComparisonRun) -> None:
    """Write tables, evidence, figures and the page of all trained picks, print them, and log them to wandb at last.

    Files: ``comparison.csv``, ``comparison_seeds.csv`` where a network has several seeds, ``evidence.json``,
    ``figures/*.png``, ``report.html``. Only results of one data set, test set, number of epochs, recipe and space enter
    one statistic: each such group has its own, and the figures show the largest.

    Args:
        tracked: the comparison in wandb, of the folder that is compared.

    Raises:
        UserError: a result, a trajectory or the ranking is damaged, or ``--wandb.mode online`` cannot be reached.
    """
    folder = tracked.folder
    run = read_run(folder)
    if not run.results:
        offer_report(folder)
        return
    findings = find(run)
    write_comparison(folder.path, run.results)
    write_json(folder.path / "evidence.json", findings.to_json())
    seeds = write_seeds(folder.path, run.groups)
    drawn = draw_figures(run, findings, folder.figures)
    print_report(folder.path, run, findings, seeds, drawn)
    offer_report(folder)
    tracked.end(run, findings, drawn)
