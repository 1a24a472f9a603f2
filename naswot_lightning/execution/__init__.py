"""Many independent tasks: on this machine, and on whatever else can run them."""
