"""Which accuracies of which table a search has put into its ranking."""

from __future__ import annotations

from pathlib import Path

from naswot_lightning.errors import UserError
from naswot_lightning.storage.records import parse_json


def read_source(path: Path) -> str | None:
    """Return the table and the accuracy that a ``benchmark_evidence.json`` names; None where there is no such file.

    Raises:
        UserError: the file is damaged.
    """
    try:
        content = parse_json(path.read_bytes())
        target = content["target"]
        epochs = f", {target['epochs']} epochs" if target["epochs"] else ""  # a list of one's own does not tell
        return f"{content['benchmark']}, {target['dataset']} {target['split']}{epochs}"
    except FileNotFoundError:
        return None
    except UserError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}): run search.py again, which writes it anew") from None
