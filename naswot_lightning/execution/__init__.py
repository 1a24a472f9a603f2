"""Many independent tasks: here, in processes, and whatever else can run them."""
