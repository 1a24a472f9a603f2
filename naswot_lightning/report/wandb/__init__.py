"""Runs of wandb: they show what the files of a run folder hold, which are the truth."""
