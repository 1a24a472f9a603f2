"""Timing: ``make bench``."""

from naswot_lightning.process import tune_process

tune_process()  # as the commands do
