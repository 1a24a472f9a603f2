"""One HTML file with its style, scripts and data inside, which may load nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_STYLES = ("vendor/uPlot.min.css", "page.css")
_LIBRARY = "vendor/uPlot.iife.min.js"
_LICENCE = "vendor/uPlot-LICENSE.txt"
# In an order in which each knows those before it.
SCRIPTS = (
    "format", "elements", "candidates", "cells", "axes", "details", "table", "scatter", "lines", "trainings", "run",
)  # fmt: skip
_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}
_MISSING = "–"


def render(template: str, title: str, data: Any = None, **values: Any) -> str:
    """Return a page of a template of ``templates/``, which escapes all texts among the values.

    The scripts of ``assets/`` show the data; a page without data has none.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    style = "\n".join(map(_asset, _STYLES))
    ours = "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    own = f'"use strict";(() => {{\n{ours}\nstartRun(JSON.parse(document.getElementById("data").textContent));\n}})();'
    scripts = [] if data is None else [_asset(_LIBRARY), own]
    # Put into the file as they are; the data hold no "<", so that they end no script.
    whole = {"style": style, "licence": _asset(_LICENCE), "data": to_json(data)}
    document: dict[str, Any] = {name: Markup(text) for name, text in whole.items()}
    document |= {"policy": policy_of(style, scripts), "scripts": list(map(Markup, scripts))}
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {
        "percent": lambda share: _MISSING if share is None else f"{100 * share:.2f}",
        "decimal": lambda value: _MISSING if value is None else f"{value:,.2f}",
    }
    return environment.get_template(template).render(title=title, document=document, **values)


def to_json(data: Any) -> str:
    r"""Return JSON in ASCII that can stand inside of a script element.

    >>> to_json({"name": "</script>"})
    '{"name":"\\u003c/script\\u003e"}'
    """
    return json.dumps(data, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def policy_of(style: str, scripts: Sequence[str]) -> str:
    """Return a Content-Security-Policy that allows this style and these scripts by their hashes, and no network."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, *scripts)]
    own, *allowed = [f"'sha256-{digest}'" for digest in digests]
    none, rest = "'none'", "img-src data:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {' '.join(allowed) or none}; style-src {own}; {rest}"


@cache
def _asset(name: str) -> str:
    return (_HERE / "assets" / name).read_text(encoding="utf-8").strip()
