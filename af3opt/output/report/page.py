"""Putting a page together: template, style, scripts and data in one file.

The page forbids itself everything but its own scripts (Content-Security-Policy by
hash), so that it cannot reach the network and no text in it can run.
"""

import base64
import hashlib
import html
import importlib.resources
import re
from typing import Any

from af3opt.output.report.packing import json_for_script

_ASSETS = importlib.resources.files(__package__) / "assets"
_VIEWER = "3Dmol-min.js"
_COMMON_SCRIPTS = ("dom.js", "theme.js")
_JOB_SCRIPTS = (
    "decode.js", "colours.js", "viewer.js", "axes.js", "pae.js", "plddt.js", "scores.js",
    "matrix.js", "run.js", "job.js",
)  # fmt: skip
_BATCH_SCRIPTS = ("batch.js",)
_PLACEHOLDER = re.compile(r"@@([A-Z]+)@@")


def job_page(title: str, data: dict[str, Any]) -> str:
    """Returns the HTML of a job's page; see `payload.job_payload` for `data`."""
    return _page("job.html", title, data, [_asset(_VIEWER), _bundle(_JOB_SCRIPTS)])


def batch_page(title: str, data: dict[str, Any]) -> str:
    """Returns the HTML of a batch's page; see `batch.batch_payload` for `data`."""
    return _page("batch.html", title, data, [_bundle(_BATCH_SCRIPTS)])


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _bundle(names: tuple[str, ...]) -> str:
    """Joins scripts into one function scope, so that nothing becomes global."""
    parts = "\n".join(_asset(name) for name in (*_COMMON_SCRIPTS, *names))
    return f'(() => {{\n"use strict";\n{parts}\n}})();'


def _page(template: str, title: str, data: dict[str, Any], scripts: list[str]) -> str:
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    values = {
        "TITLE": html.escape(title),
        "POLICY": f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'",
        "STYLE": _asset("report.css"),
        "DATA": json_for_script(data),
        "SCRIPTS": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    # One pass: a value that happens to contain a placeholder stays text.
    return _PLACEHOLDER.sub(lambda match: values[match[1]], _asset(template))


def _digest(script: str) -> str:
    # The parser turns CR LF into LF before the browser hashes; assets hold no CR.
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
