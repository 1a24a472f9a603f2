"""Rank untrained networks: ``naswot search --help``."""

from __future__ import annotations

from naswot_lightning.config import SearchConfig
from naswot_lightning.console import restore_keyboard_interrupt


def run_search(config: SearchConfig) -> int:
    """Rank the candidates of ``config``, or measure cheaper settings of the score on them, as it says.

    Returns:
        0, or 1 where no candidate could be scored, or some only not on this machine.

    Raises:
        UserError: an invalid setting, an unreadable file or run folder.
    """
    from naswot_lightning.cli.search_output import calibrate_and_show, show_search
    from naswot_lightning.searching.plan import plan_search

    restore_keyboard_interrupt()
    search = plan_search(config)
    # Faults of the candidates are reported before the folder is touched.
    first = search.first_batch()
    if config.calibrate:
        return calibrate_and_show(search, first)
    with search.opened():
        with search.loop() as loop:
            proposed = loop.run(search.algorithm, first)
        return show_search(search, search.write_result(loop, proposed))
