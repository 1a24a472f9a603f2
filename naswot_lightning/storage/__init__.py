"""Files of a run: written atomically by one process at a time, and checked when read."""
