"""Is the score right on this space: ``naswot study``."""
