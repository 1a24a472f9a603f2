"""``naswot merge``: the command of ``naswot_lightning/cli/merge.py``."""

import sys

from naswot_lightning.cli import start

if __name__ == "__main__":
    sys.exit(start("merge"))
