"""``python -m naswot_lightning COMMAND ...`` is ``naswot COMMAND ...``."""

import sys

from naswot_lightning.cli import main

if __name__ == "__main__":
    sys.exit(main())
