"""Search algorithms, a file a family."""
