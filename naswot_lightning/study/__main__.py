"""``python -m naswot_lightning.study``: the command of ``naswot_lightning/cli/study.py``."""

import sys

from naswot_lightning.cli import start

if __name__ == "__main__":
    sys.exit(start("study"))
