"""``python -m naswot_lightning.benchmarks``: the command of ``naswot_lightning/cli/benchmarks.py``."""

import sys

from naswot_lightning.cli import start

if __name__ == "__main__":
    sys.exit(start("benchmarks"))
