"""Put the shards of a search, or picks trained in copies of a run folder, together: ``naswot merge --help``."""

from __future__ import annotations

from naswot_lightning.cli.search import show_search
from naswot_lightning.config import MergeConfig
from naswot_lightning.console import counted
from naswot_lightning.report.compare import compare
from naswot_lightning.searching.merge import merge_picks, merge_shards
from naswot_lightning.storage.run_folder import RunFolder


def run_merge(config: MergeConfig) -> int:
    """Merge, then show; return 1 where no candidate could be scored."""
    whole, folders = RunFolder(config.run_dir), [RunFolder(path) for path in config.shards]
    if folders and all(each.config.exists() and each.read_config().get("shard") is None for each in folders):
        with whole.lock():
            new = merge_picks(whole, folders)
            print(f"{counted(len(new), 'trained pick')} copied: {', '.join(new) or 'none is new'}")
            compare(whole)
        return 0
    search, candidates = merge_shards(config)
    with search.opened():
        with search.loop() as loop:
            proposed = loop.run(search.algorithm, candidates)
        return show_search(search, search.write_result(loop, proposed))
