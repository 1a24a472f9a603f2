"""From words on the command line and YAML to settings, and from errors to one line and an exit code."""

from __future__ import annotations

import dataclasses
import difflib
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from jsonargparse import ActionConfigFile, ArgumentParser, set_parsing_settings

from naswot_lightning.cli import named
from naswot_lightning.config import CONFIGS
from naswot_lightning.console import harden_streams, restore_keyboard_interrupt
from naswot_lightning.data import DATASETS
from naswot_lightning.errors import UserError, describe_error, describe_os_error
from naswot_lightning.execution.worker import tune_process
from naswot_lightning.registry import OPTIONS, REGISTRIES, names_of, own_paths
from naswot_lightning.scores import AGGREGATES, SCORES
from naswot_lightning.spaces import list_spaces, trust
from naswot_lightning.spaces.errors import SpaceError
from naswot_lightning.storage.records import parse_yaml
from naswot_lightning.storage.run_folder import MovedError
from naswot_lightning.training.settings import RECIPES

Settings = TypeVar("Settings")
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}
_BOOLS = ("true", "false", "yes", "no")
_INTERRUPTED = "interrupted; run the same command again to continue"


class _OneLineParser(ArgumentParser):
    """A parser whose errors are :class:`UserError`, with the nearest option where one is unknown."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise UserError(_one_line(message, [option for action in self._actions for option in action.option_strings]))


def _one_line(message: str, options: list[str]) -> str:
    message = re.sub(r"\s+", " ", message).strip()
    unknown = re.search(r"[Uu]nrecognized arguments?: (--?[^\s=]+)", message) or re.search(
        r"[Oo]ption '([\w.]+)' is not accepted", message
    )
    if unknown:
        name = "--" + unknown.group(1).lstrip("-")
        near = difflib.get_close_matches(name, options, 1)
        return f"unknown option {name}" + (f"; did you mean {near[0]}?" if near else "; see --help")
    message = re.sub(r"^(Parser key|argument) \"?(?:--)?([\w.]+)\"?:", r"--\2:", message)
    message = re.sub(r"<class '(\w+)'>|typing\.Literal(\[)", r"\1\2", message)
    kinds = dict.fromkeys(re.findall(r"Expected a (.+?)(?= - |\.? (?:Given|Got) |$)", message))
    expected = " or ".join(_in_words(kind) for kind in kinds if kind != "NoneType")
    pattern = r"(?:Does not validate.*Given|Expected a .*Got) value: (.*)$"
    return re.sub(pattern, lambda match: f"expected {expected}, got {match[1]}", message)


def _in_words(kind: str) -> str:
    """Return what jsonargparse calls a type, such as "int" or "['top', 'spread']", in words."""
    if kind.startswith("["):
        return ("one of " if "," in kind else "") + kind.strip("[]").replace("'", "")
    return _KINDS.get(kind, kind)


def give_options(words: Sequence[str], settings: type[Any], positionals: Sequence[str] = ()) -> list[str]:
    """Rewrite a command line so that every value stands with its option, ``--NAME=VALUE``.

    A switch alone means true. An option that takes several values takes all words up to the next option. A word that
    follows no option belongs to the next of ``positionals``, or to the last where that takes several.

    >>> from naswot_lightning.config import MergeConfig
    >>> give_options(["--run_dir", "whole", "a", "--trust", "b"], MergeConfig, ["shards"])
    ['--run_dir=whole', '--trust=true', '--shards=["a", "b"]']
    """
    kinds = {each.name: str(each.type) for each in dataclasses.fields(settings)}
    switches = [name for name, kind in kinds.items() if kind.startswith(("bool", str(bool)))]
    lists: dict[str, list[str]] = {}
    others: list[str] = []
    left = list(positionals)
    # What the next word is a value of.
    option = ""
    for word, after in zip(words, [*words, "--"][1:], strict=True):
        name, equals, value = word.removeprefix("--").partition("=")
        if word.startswith("--"):
            option = "" if equals else name
            if kinds.get(name, "").startswith("list["):
                lists.setdefault(name, []).extend([value] if value else [])
                option = name
            elif option in switches and (after.startswith("--") or (left and after.lower() not in _BOOLS)):
                others.append(f"{word}=true")
                option = ""
            else:
                others.append(word)
        elif option in lists:
            lists[option].append(word)
        elif option:
            others[-1] += f"={word}"
            option = ""
        elif not left or word == "-h":
            others.append(word)
        elif kinds[left[0]].startswith("list["):
            lists.setdefault(left[0], []).append(word)
        else:
            others.append(f"--{left.pop(0)}={word}")
    for name, values in lists.items():
        numbers = kinds[name] == "list[int]"
        others.append(
            f"--{name}={json.dumps([int(word) if numbers and word.isdecimal() else word for word in values])}"
        )
    return others


def _given(words: Sequence[str], option: str) -> list[str]:
    """Return the values that an option is given."""
    return [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]


def _shipped_configs(words: Sequence[str], prog: str) -> list[str]:
    """Return the words with the path of each shipped configuration that ``--config`` names, such as quickstart."""
    paths = {f"--config={path.stem}": f"--config={path}" for path in (CONFIGS / prog.split()[-1]).glob("*.yaml")}
    files = {word for word in paths if Path(word.removeprefix("--config=")).exists()}
    return [word if word in files else paths.get(word, word) for word in words]


def _check_file(option: str, path: str) -> None:
    """Raise :class:`UserError` where a file holds anything but plain options, or what only the command line may say."""
    if not Path(path).is_file():
        raise UserError(f"{option} {path}: no such file")
    try:
        values = parse_yaml(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{option} {path}: {error}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise UserError(f"{option} {path}: expected one option per line, such as samples: 100")
    if "config" in values:
        raise UserError(f"{option} {path}: config: a file cannot name another one; give each file its own --config")
    for name in ("overwrite", "trust"):
        if values.get(name):
            raise UserError(
                f"{option} {path}: {name} is allowed only on the command line; remove it here, and give --{name}"
            )
    if "wandb" in values and not isinstance(values["wandb"], dict):
        raise UserError(f"{option} {path}: wandb: expected a mapping of options, such as mode: offline")


def _refuse_nulls(settings: Any, values: Mapping[str, Any], prefix: str) -> None:
    """Raise :class:`UserError` for a null where the option takes none: jsonargparse lets it pass."""
    for option in dataclasses.fields(settings):
        if values[option.name] is None and "None" not in str(option.type):
            raise UserError(f"{prefix}{option.name} null: expected a value; leave it out for its default")
    if dataclasses.is_dataclass(wandb := values.get("wandb")):
        _refuse_nulls(wandb, vars(wandb), "--wandb.")


def _trust_own_code(settings: Any, words: Sequence[str]) -> None:
    """Let the code be imported that this command line names by an import path; what a file names needs ``--trust``."""
    for option in OPTIONS:
        value = getattr(settings, option, None)
        given = [path for text in _given(words, f"--{option}") for path in own_paths(option, text)]
        for path in own_paths(option, value):
            if not getattr(settings, "trust", False) and path not in given:
                name = value if option in ("space", "dataset") else path
                raise UserError(
                    f"{option} {name}: a file names this code, which would be run; if you trust it, add --{option} "
                    f"{name} or --trust"
                )
            trust(path)


def _expect_own_engine(settings: Any, words: Sequence[str], parser: ArgumentParser) -> None:
    """Raise :class:`UserError` where a file chose what runs on a cluster, whose options reach a shell.

    One that a file names needs ``--trust``.
    """
    if getattr(settings, "engine", "local") == "local" or settings.trust:
        return
    given = parser.parse_args([word for word in words if not word.startswith("--config=")])
    for name in ("engine", "slurm"):
        if (value := getattr(settings, name)) != given[name]:
            raise UserError(
                f"{name} {value}: a file chooses what would run on a cluster; if you trust it, give --{name} on the "
                "command line, or add --trust"
            )


def parse(settings: type[Settings], argv: Sequence[str] | None, prog: str, positionals: Sequence[str] = ()) -> Settings:
    """Return the settings dataclass from a command line; ``--help`` and ``--print_config`` exit.

    Values of the options ``positionals`` may stand alone.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    doc = (settings.__doc__ or "").split("\n")[0]
    # No abbreviations: what is asked of --space must be said by that word.
    parser = _OneLineParser(prog=prog, description=doc, default_env=False, allow_abbrev=False)
    parser.add_argument(
        "--config", action=ActionConfigFile, help="A YAML file of options; the command line overrides it."
    )
    parser.add_class_arguments(settings)
    for action in parser._actions:
        for what, names in choices().items():
            if action.help and f"{{{what}}}" in action.help:
                action.help = action.help.replace(f"{{{what}}}", ", ".join(names))
    words = _shipped_configs(give_options(sys.argv[1:] if argv is None else argv, settings, positionals), prog)
    for option in ("--config", "--wandb"):
        for path in _given(words, option):
            _check_file(option, path)
    values = parser.instantiate(parser.parse_args(words)).as_dict()
    _refuse_nulls(settings, values, "--")
    found = settings(**{f.name: values[f.name] for f in dataclasses.fields(settings)})  # type: ignore[arg-type]
    _trust_own_code(found, words)
    _expect_own_engine(found, words, parser)
    return found


def choices() -> dict[str, list[str]]:
    """Return the names that options take, from the registries that resolve them; none of these loads torch.

    >>> choices()["engines"]
    ['local', 'ray', 'slurm']
    """
    return {
        **{f"{what}s": names_of(what) for what in REGISTRIES},
        "datasets": list(DATASETS),
        "recipes": list(RECIPES),
        "scores": list(dict.fromkeys([*SCORES, *AGGREGATES, *names_of("score")])),
        "spaces": list_spaces(),
    }


def run_command(
    command: Callable[[Settings], int] | str,
    settings: type[Settings],
    prog: str,
    argv: Sequence[str] | None = None,
    positionals: Sequence[str] = (),
) -> int:
    """Parse and run a command; return its exit code: 2 with one line on stderr for a user's mistake.

    ``command`` may be named, as "module:function" of this package: what it imports takes seconds, which --help does not
    wait for.
    """
    harden_streams()
    tune_process()
    # No window is ever opened, and a backend that does not exist would keep matplotlib from loading.
    os.environ["MPLBACKEND"] = "agg"
    # Without a home folder it makes a temporary one, which nobody need know.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        parsed = parse(settings, argv, prog, positionals)
        run = named(command) if isinstance(command, str) else command
        restore_keyboard_interrupt()
        code: int = run(parsed)
        return code
    except OSError as error:
        return _fail(prog, describe_os_error(error))
    except MovedError as error:
        return _fail(prog, str(error), code=1)
    except (UserError, SpaceError) as error:
        return _fail(prog, str(error))
    except KeyboardInterrupt:
        return _fail(prog, _INTERRUPTED, code=130)
    except (ImportError, MemoryError) as error:
        if isinstance(error, ImportError) and "failed to map segment" not in str(error):
            raise
        return _fail(prog, f"{describe_error(error)}: out of memory; free some memory, or raise the limit (ulimit -v)")
    except RuntimeError as error:
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        # It came while a class was made, of a library that is loaded late.
        return _fail(prog, _INTERRUPTED, code=130)


def _fail(prog: str, message: str, code: int = 2) -> int:
    sys.stdout.flush()
    print(f"{prog}: error: {message}", file=sys.stderr)
    return code
