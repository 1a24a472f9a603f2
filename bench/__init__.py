"""Timing: ``make bench``."""

from naswot_lightning.command_line import limit_spinning

limit_spinning()  # as the commands do
