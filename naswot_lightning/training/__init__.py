"""Training of the picks of a ranking, each in a process of its own."""
