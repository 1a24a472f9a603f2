"""Rank untrained networks: ``naswot search --help``; the command of ``naswot_lightning/cli/search.py``."""

import sys

from naswot_lightning.cli import start

if __name__ == "__main__":
    sys.exit(start("search"))
