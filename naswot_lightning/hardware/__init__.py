"""What networks take on a device: measured latency and memory, and latency predicted by a table of operators."""
