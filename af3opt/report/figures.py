"""Pictures for slides: PAE and pLDDT of a sample, drawn with matplotlib."""

import io
import itertools
from typing import Any

import numpy as np

from af3opt.base.errors import SetupError
from af3opt.base.installing import pip_install
from af3opt.report.job import Job, Sample
from af3opt.report.pae import MISSING, STEP, PaeMap
from af3opt.scores.reading.tokens import Tokens

_MAX_PAE = 31.75
_DPI = 200
# Colours that every eye can tell apart (Okabe and Ito), as on the page.
_BANDS = ((90, 100, "#0072b2"), (70, 90, "#56b4e9"), (50, 70, "#f0e442"), (0, 50, "#d55e00"))


def check_matplotlib() -> None:
    """Raises SetupError, with what to install, where pictures cannot be drawn."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise SetupError(
            f"--png needs matplotlib, which is not installed; {pip_install('report')}"
        ) from error


def sample_picture(job: Job, sample: Sample) -> bytes:
    """Draws PAE and pLDDT of one sample side by side.

    Args:
        job: The job, for the title.
        sample: A sample with tokens.

    Returns:
        A PNG file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), dpi=_DPI, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.35))
    _draw_pae(figure, left, sample.pae, sample.tokens)
    _draw_plddt(right, sample.token_plddt, sample.tokens)
    # A dollar sign would switch matplotlib to formulas.
    figure.suptitle(_title(job, sample), parse_math=False, fontsize=11)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def _title(job: Job, sample: Sample) -> str:
    name = job.name if len(job.name) <= 60 else f"{job.name[:59]}…"
    printable = "".join(c if c.isprintable() else " " for c in name)
    parts = [printable, sample.files.label]
    if sample.ranking_score is not None:
        parts.append(f"ranking score {sample.ranking_score:.2f}")
    if job.synthetic:
        parts.append("SYNTHETIC WEIGHTS: PREDICTS NOTHING")
    return " · ".join(parts)


def _draw_pae(figure: Any, axes: Any, pae: PaeMap | None, tokens: Tokens | None) -> None:
    axes.set_xlabel("scored token")
    axes.set_ylabel("aligned token")
    axes.set_title("Predicted aligned error", fontsize=10)
    if pae is None or tokens is None:
        axes.text(0.5, 0.5, "no PAE matrix", ha="center", va="center", transform=axes.transAxes)
        return
    values = np.ma.masked_equal(pae.values, MISSING) * STEP
    extent = (0, pae.tokens, pae.tokens, 0)
    image = axes.imshow(
        values, cmap="cividis", vmin=0, vmax=_MAX_PAE, extent=extent, interpolation="nearest"
    )
    for boundary in _boundaries(tokens):
        axes.axhline(boundary, color="white", linewidth=0.8)
        axes.axvline(boundary, color="white", linewidth=0.8)
    figure.colorbar(image, ax=axes, label="expected position error (Å)", shrink=0.85)


def _draw_plddt(axes: Any, plddt: np.ndarray | None, tokens: Tokens | None) -> None:
    axes.set_xlabel("token")
    axes.set_ylabel("pLDDT")
    axes.set_ylim(0, 100)
    for low, high, colour in _BANDS:
        axes.axhspan(low, high, color=colour, alpha=0.13, linewidth=0)
    if plddt is None or tokens is None:
        axes.text(0.5, 0.5, "no pLDDT", ha="center", va="center", transform=axes.transAxes)
        return
    axes.set_xlim(0, len(plddt))
    starts = [0, *_boundaries(tokens), len(tokens)]
    for start, end in itertools.pairwise(starts):
        marker = "." if end - start == 1 else ""
        axes.plot(np.arange(start, end) + 0.5, plddt[start:end], "k", lw=1.1, marker=marker)
        if start:
            axes.axvline(start, color="0.6", linewidth=0.8)
        if end - start > len(tokens) / 40:
            chain = tokens.chain_ids[tokens.chain[start]]
            axes.text((start + end) / 2, 101.5, chain, ha="center", fontsize=8, parse_math=False)


def _boundaries(tokens: Tokens) -> list[int]:
    """Token indices at which a new chain starts, the first chain left out."""
    return [int(i) + 1 for i in np.flatnonzero(np.diff(tokens.chain))]
