"""Timing: ``make bench``."""
