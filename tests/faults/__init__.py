"""Faults that are caused on purpose: ``python -m tests.faults``."""
