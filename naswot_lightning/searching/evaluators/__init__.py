"""What says how good an architecture is: scores, a table, a short training."""
