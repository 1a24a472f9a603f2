"""Train the picks of a ranking: ``naswot train --help``; the command of ``naswot_lightning/cli/train.py``."""

import sys

from naswot_lightning.cli import start

if __name__ == "__main__":
    sys.exit(start("train"))
