"""Search: rank candidates of a space at initialization (section 4, Algorithm 1)."""
