"""Executors of many independent tasks: this machine, Ray, SLURM."""
