"""Putting a page together: frame, content, style, scripts and data in one file.

The page forbids itself everything but its own scripts (Content-Security-Policy by
hash), so that it cannot reach the network and no text in it can run.
"""

import base64
import hashlib
import html
import importlib.resources
import re

from af3opt.base.json_types import JsonObject
from af3opt.report.packing import json_for_script

_ASSETS = importlib.resources.files(__package__) / "assets"
_VIEWER = "3Dmol-min.js"
_COMMON_SCRIPTS = ("dom.js", "theme.js", "iptm.js", "download.js")
_JOB_SCRIPTS = (
    "decode.js", "colours.js", "closeup.js", "viewer.js", "axes.js", "pae.js", "plddt.js",
    "sequence.js", "msa.js", "scores.js", "matrix.js", "interfaces.js", "seeds.js", "saving.js",
    "run.js", "job.js",
)  # fmt: skip
_BATCH_SCRIPTS = (
    "decode.js", "colours.js", "axes.js", "columns.js", "trace.js", "scatter.js", "gallery.js",
    "batch.js",
)  # fmt: skip
_PALETTE = '<label>Colours <select id="palette"></select></label>'
_VIEWER_CREDIT = "Drawn with 3Dmol.js (Rego and Koes, Bioinformatics 2015)."
_PLACEHOLDER = re.compile(r"@@([A-Z]+)@@")


def job_page(title: str, data: JsonObject) -> str:
    """Returns the HTML of a job's page; see `payload.job_payload` for `data`."""
    scripts = [_asset(_VIEWER), _bundle(_JOB_SCRIPTS)]
    return _page("job.html", title, data, scripts, tools=_PALETTE, credit=_VIEWER_CREDIT)


def batch_page(title: str, data: JsonObject) -> str:
    """Returns the HTML of a batch's page; see `batch.batch_payload` for `data`."""
    return _page("batch.html", title, data, [_bundle(_BATCH_SCRIPTS)], tools=_PALETTE)


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _bundle(names: tuple[str, ...]) -> str:
    """Joins scripts into one function scope, so that nothing becomes global."""
    parts = "\n".join(_asset(name) for name in (*_COMMON_SCRIPTS, *names))
    return f'(() => {{\n"use strict";\n{parts}\n}})();'


def _page(
    main: str,
    title: str,
    data: JsonObject,
    scripts: list[str],
    *,
    tools: str = "",
    credit: str = "",
) -> str:
    """Fills the frame that all pages share.

    Args:
        main: Asset with what is between header and footer.
        title: Plain text.
        data: For the scripts.
        scripts: Their sources.
        tools: HTML of controls in the header besides those that all pages have.
        credit: HTML of a sentence in the footer.
    """
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    values = {
        "TITLE": html.escape(title),
        "POLICY": f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'",
        "STYLE": _asset("report.css"),
        "DATA": json_for_script(data),
        "TOOLS": tools,
        "MAIN": _asset(main),
        "CREDIT": credit,
        "SCRIPTS": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    # One pass: a value that happens to contain a placeholder stays text.
    return _PLACEHOLDER.sub(lambda match: values[match[1]], _asset("page.html"))


def _digest(script: str) -> str:
    # The parser turns CR LF into LF before the browser hashes; assets hold no CR.
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
