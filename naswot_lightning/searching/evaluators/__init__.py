"""Evaluators of architectures: by scores, by a table, by a short training."""
