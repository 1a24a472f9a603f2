"""Short searches, and the files that they leave."""

import json

from naswot_lightning.config import WandbConfig
from naswot_lightning.spaces import get_space

SPACE = get_space("nasbench201")
QUICK = {"samples": 6, "batch_size": 8, "wandb": WandbConfig("disabled")}


def rows_of(folder):
    return [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]


def files_of(folder):
    return [(folder / name).read_bytes() for name in ("ranking.json", "ranking.csv")]
