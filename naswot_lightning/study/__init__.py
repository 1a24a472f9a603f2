"""Is the score right on this space: ``python -m naswot_lightning.study``."""
