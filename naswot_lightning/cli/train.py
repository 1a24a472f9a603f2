"""Train the picks of a ranking: ``naswot train --help``."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace

from naswot_lightning.config import TrainConfig
from naswot_lightning.data.splits import warn_of_own_split
from naswot_lightning.report.compare import compare
from naswot_lightning.report.loggers import other_loggers, wandb_of
from naswot_lightning.report.wandb.content import comparison_config, comparison_summary
from naswot_lightning.report.wandb.runs import ComparisonRun
from naswot_lightning.training.plan import Training, describe_adaptation, plan_training
from naswot_lightning.training.run import load_images, prepare_picks, train_picks


def run_training(config: TrainConfig) -> int:
    """Train the picks that have no result yet, then compare all of the run folder.

    Return 0, or 1 where a pick failed or ran out of time; the others are trained all the same.
    """
    if config.num_nodes == 1:
        return train_and_compare(plan_training(config))
    from naswot_lightning.training.ranks import Ranks

    with Ranks(config) as ranks:
        return train_and_compare(replace(plan_training(config), executor=ranks)) if ranks.is_first else ranks.follow()


def train_and_compare(training: Training) -> int:
    """Train what is planned, with the comparison in wandb refreshed after each pick; return as :func:`run_training`."""
    settings = training.picks[0].settings
    if warning := warn_of_own_split(settings.dataset, settings.split_file):
        print(f"naswot train: warning: {warning}", file=sys.stderr)
    # Faults of the data are reported before anything is written.
    loaded = load_images(training)
    unfinished = {}
    with training.folder.lock():
        comparison = ComparisonRun(training.folder, wandb_of(training.config))
        folders = prepare_picks(training, loaded)
        if folders and (adaptation := describe_adaptation(training)):
            print(f"naswot train: {adaptation}", file=sys.stderr)
        with comparison, closing(train_picks(training, folders, loaded)) as ended:
            for number, (folder, outcome) in enumerate(ended, start=1):
                if not outcome.has_result:
                    unfinished[folder] = outcome
                # The comparison that follows shows the last; beside a pick in this process wandb has no other run.
                if number < len(folders) and training.config.num_nodes == 1:
                    comparison.pick_ended()
        training.folder.expect_in_place()
        run, findings, figures = compare(training.folder)
        if run.results:
            comparison.end(run, findings, figures)
            summary = comparison_config(run), comparison_summary(run, findings), len(run.results)
            for logger in other_loggers(training.config.logger, comparison.logged):
                logger.show(*summary, figures=figures, files=[training.folder.path / "comparison.csv"])
                logger.finish()
    for folder, outcome in unfinished.items():
        if outcome.status != "out of time":
            print(f"FAILED: {folder.name}, see {folder / 'train.log'}", file=sys.stderr)
    return 1 if unfinished else 0
