"""Put the shards of a search together: ``naswot merge --help``."""

from __future__ import annotations

from naswot_lightning.cli.search import show_search
from naswot_lightning.config import MergeConfig
from naswot_lightning.searching.merge import merge_shards


def run_merge(config: MergeConfig) -> int:
    """Merge, then show; return 1 where no candidate could be scored."""
    search, candidates = merge_shards(config)
    with search.opened():
        with search.loop() as loop:
            proposed = loop.run(search.algorithm, candidates)
        return show_search(search, search.write_result(loop, proposed))
