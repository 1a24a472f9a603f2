"""Timing: ``make bench``."""

from naswot_lightning.execution.worker import tune_process

tune_process()  # as the commands do
