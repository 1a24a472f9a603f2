"""``python -m naswot_lightning.report``: the command of ``naswot_lightning/cli/report.py``."""

import sys

from naswot_lightning.cli import start

if __name__ == "__main__":
    sys.exit(start("report"))
