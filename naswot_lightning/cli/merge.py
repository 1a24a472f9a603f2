"""Put the shards of a search, or picks trained in copies of a run folder, together: ``naswot merge --help``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from naswot_lightning.config import MergeConfig
from naswot_lightning.console import restore_keyboard_interrupt

if TYPE_CHECKING:
    from naswot_lightning.storage.run_folder import RunFolder


def run_merge(config: MergeConfig) -> int:
    """Merge, then show; return 1 where no candidate could be scored."""
    from naswot_lightning.cli.search_output import show_search
    from naswot_lightning.searching.merge import merge_shards
    from naswot_lightning.storage.run_folder import RunFolder

    restore_keyboard_interrupt()
    folders = [RunFolder(path) for path in config.shards]
    if folders and all(each.config.exists() and each.read_config().get("shard") is None for each in folders):
        return _merge_picks(RunFolder(config.run_dir), folders)
    search, candidates = merge_shards(config)
    with search.opened():
        with search.loop() as loop:
            proposed = loop.run(search.algorithm, candidates)
        return show_search(search, search.write_result(loop, proposed))


def _merge_picks(whole: RunFolder, copies: Sequence[RunFolder]) -> int:
    from naswot_lightning.report.compare import compare
    from naswot_lightning.training.merge import merge_picks

    with whole.lock():
        new = merge_picks(whole, copies)
        print(f"{len(new)} trained {'pick' if len(new) == 1 else 'picks'} copied: {', '.join(new) or 'none is new'}")
        compare(whole)
    return 0
