"""Files of a run: whole or absent, written by one process at a time, read with a word for what is damaged."""
