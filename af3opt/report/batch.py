"""The page of a batch: one row per job."""

from collections import Counter
from pathlib import Path

from af3opt.base.json_types import JsonObject
from af3opt.report.job import Job, Sample
from af3opt.report.packing import rounded
from af3opt.report.payload import page_stamp
from af3opt.report.trace import trace
from af3opt.scores.interface import main_interface
from af3opt.scores.reading.files import UnreadableFileError, read_json

# Points of all pictures of a page together: about 1 MB of page once compressed.
_MAX_POINTS = 400_000
_MIN_POINTS, _MOST_POINTS = 40, 400
_SCORES = ("pair_iptm", "pair_pae_min", "contacts", "buried_area")


def batch_payload(name: str, rows: list[JsonObject]) -> JsonObject:
    """Returns the data of a batch's page.

    Args:
        name: Heading.
        rows: One `batch_row` per job.
    """
    return {"name": name, **page_stamp(), "jobs": rows}


def batch_row(job: Job, href: str | None, jobs: int = 1) -> JsonObject:
    """What the batch page says of one job.

    Args:
        job: The job.
        href: Relative address of its own page, or None.
        jobs: Jobs on the page, which share the room for pictures.
    """
    best = job.samples[0] if job.samples else None
    scores = best.scores if best else None
    return {
        "name": job.name,
        "directory": job.files.directory.absolute().name,
        "href": href,
        "contents": _contents(job),
        "descriptions": " ".join(chain.description for chain in job.chains),
        "tokens": len(best.tokens) if best and best.tokens is not None else None,
        "samples": len(job.samples),
        "ranking_score": rounded(best.ranking_score) if best else None,
        "iptm": rounded(scores.iptm) if scores else None,
        "ptm": rounded(scores.ptm) if scores else None,
        "mean_plddt": rounded(best.mean_plddt, 2) if best else None,
        **_interface(best),
        "remarks": _remarks(job),
        "synthetic": job.synthetic,
        "trace": _trace(best, jobs),
    }


def _trace(best: Sample | None, jobs: int) -> str | None:
    if best is None or best.structure is None:
        return None
    return trace(best.structure, max(_MIN_POINTS, min(_MOST_POINTS, _MAX_POINTS // jobs)))


def _interface(best: Sample | None) -> JsonObject:
    """The best sample's main interface, so that jobs of a screen can be compared."""
    found = main_interface(tuple(shown.scores for shown in best.interfaces)) if best else None
    return {
        "interface": found.name if found else None,
        "ipsae": found.smaller("ipsae") if found else None,
        "ilis": found.ilis if found else None,
        "pdockq2": found.larger("pdockq2") if found else None,
        **{score: getattr(found, score, None) for score in _SCORES},
    }


def add_failures(rows: list[JsonObject], failed: Path) -> None:
    """Adds what `failed.json` says: a remark to a job's row, or a row of its own.

    Args:
        rows: One `batch_row` per job; changed in place.
        failed: `failed.json`, which need not exist.
    """
    for name, reason in _failures(failed):
        known = [row for row in rows if name in (row["name"], row["directory"])]
        remark = f"failed: {reason}"
        for row in known:
            row["remarks"] = [remark, *row["remarks"]]
        if not known:
            rows.append(_empty_row(name) | {"remarks": [remark]})


def _failures(path: Path) -> list[tuple[str, str]]:
    """Names of failed jobs and reasons; empty when the file is missing or of another shape."""
    if not path.is_file():
        return []
    try:
        entries = read_json(path)
    except UnreadableFileError as error:
        return [(path.name, error.reason)]
    listed = entries if isinstance(entries, list) else []
    return [
        (str(entry.get("name", "?")), str(entry.get("reason", "?")))
        for entry in listed
        if isinstance(entry, dict)
    ]


def _empty_row(name: str) -> JsonObject:
    """The row of a job without results."""
    undefined = (
        *("href", "tokens", "ranking_score", "iptm", "ptm", "mean_plddt"),
        *("interface", "ipsae", "ilis", "pdockq2", *_SCORES, "trace"),
    )
    words = ("contents", "descriptions")
    return {
        "name": name,
        "directory": name,
        "samples": 0,
        "remarks": [],
        "synthetic": False,
        **dict.fromkeys(undefined),
        **dict.fromkeys(words, ""),
    }


def _contents(job: Job) -> str:
    """Chains in short, such as "2 protein, 1 DNA"."""
    kinds = [chain.kind for chain in job.chains]
    best = job.samples[0].structure if job.samples else None
    if not kinds and best is not None:
        kinds = list(best.topology.chain_kinds)
    return ", ".join(f"{count} {kind}" for kind, count in Counter(kinds).items())


def _remarks(job: Job) -> list[str]:
    """What is wrong with a job; what several samples share is said once, with a count.

    Whether the best sample is among them is said, too: its scores are those in the row.
    """
    found = [dict.fromkeys((*sample.flags, *sample.missing)) for sample in job.samples]
    counts = Counter(text for texts in found for text in texts)
    if len(found) == 1:
        return [*job.problems, *counts]
    best = found[0] if found else {}
    return [*job.problems, *(_shared(text, count, text in best) for text, count in counts.items())]


def _shared(text: str, count: int, best: bool) -> str:
    if count == 1:
        return f"{text} ({'the best' if best else '1'} sample)"
    return f"{text} ({count} samples{', the best too' if best else ''})"
