"""What lets a shell complete commands and options: ``eval "$(naswot completion bash)"``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

SHELLS = ("bash", "zsh", "tcsh")


def main(words: Sequence[str]) -> int:
    """Print the script for a shell; return the exit code."""
    from jsonargparse import ArgumentParser, set_parsing_settings

    from naswot_lightning.cli import COMMANDS, named

    if list(words) not in [[shell] for shell in SHELLS]:
        print(f'naswot completion {"|".join(SHELLS)}, in bash: eval "$(naswot completion bash)"', file=sys.stderr)
        return 0 if words in (["--help"], ["-h"]) else 2
    import shtab

    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(prog="naswot")
    subcommands = parser.add_subcommands()
    for name, each in COMMANDS.items():
        command = ArgumentParser(description=each.what)
        if each.settings:
            command.add_class_arguments(named(each.settings))
        subcommands.add_subcommand(name, command, help=each.what)
    print(shtab.complete(parser, words[0]))
    return 0
