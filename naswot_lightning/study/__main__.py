"""``naswot study``: that of ``naswot_lightning/study/report.py``."""

import sys
from importlib import import_module

if __name__ == "__main__":
    # By its name: no package below the commands imports them.
    sys.exit(import_module("naswot_lightning.cli").start("study"))
