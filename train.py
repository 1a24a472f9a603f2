"""Train the picks of a ranking: ``python train.py --help``."""

import sys

from naswot_lightning.console import end_at_once, raise_interrupts

if __name__ == "__main__":
    end_at_once()  # while the rest is loaded

from naswot_lightning.command_line import run_command
from naswot_lightning.config import TrainConfig


def main(config: TrainConfig) -> int:
    """Run the training; imported late so that --help is quick."""
    from naswot_lightning.training import run_training

    raise_interrupts()
    return run_training(config)


if __name__ == "__main__":
    sys.exit(run_command(main, TrainConfig, "train.py"))
