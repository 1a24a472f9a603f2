"""Several runs beside each other: what differs in their settings, their figures, how far their rankings agree."""
