"""What says how good an architecture is: its scores at initialization."""
