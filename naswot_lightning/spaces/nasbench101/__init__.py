"""The cells of NAS-Bench-101 and their networks."""
