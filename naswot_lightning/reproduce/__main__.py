"""``python -m naswot_lightning.reproduce``: the command of ``naswot_lightning/cli/reproduce.py``."""

import sys

from naswot_lightning.cli import start

if __name__ == "__main__":
    sys.exit(start("reproduce"))
