"""The page of a batch: one row per job."""

from collections import Counter
from pathlib import Path

from af3opt.base.json_types import JsonObject
from af3opt.report.job import Job, Sample
from af3opt.report.packing import rounded
from af3opt.report.payload import page_stamp
from af3opt.scores.interface import main_interface
from af3opt.scores.reading.files import UnreadableFileError, read_json


def batch_payload(name: str, rows: list[JsonObject]) -> JsonObject:
    """Returns the data of a batch's page.

    Args:
        name: Heading.
        rows: One `batch_row` per job.
    """
    return {"name": name, **page_stamp(), "jobs": rows}


def batch_row(job: Job, href: str | None) -> JsonObject:
    """What the batch page says of one job.

    Args:
        job: The job.
        href: Relative address of its own page, or None.
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
        "clash": {True: "yes", False: "no", None: None}[scores.has_clash if scores else None],
        "remarks": "; ".join(_remarks(job)),
        "synthetic": job.synthetic,
    }


def _interface(best: Sample | None) -> JsonObject:
    """The best sample's main interface, so that jobs of a screen can be compared."""
    found = main_interface(tuple(shown.scores for shown in best.interfaces)) if best else None
    return {
        "interface": found.name if found else None,
        "ipsae": found.smaller("ipsae") if found else None,
        "ilis": found.ilis if found else None,
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
            row["remarks"] = "; ".join(filter(None, (remark, row["remarks"])))
        if not known:
            rows.append(_empty_row(name) | {"remarks": remark})


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
        *("href", "tokens", "ranking_score", "iptm", "ptm", "mean_plddt", "clash"),
        *("interface", "ipsae", "ilis"),
    )
    words = ("contents", "descriptions", "remarks")
    return {
        "name": name,
        "directory": name,
        "samples": 0,
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
    """What is wrong with a job; what several samples share is said once, with a count."""
    counts = Counter(text for sample in job.samples for text in (*sample.flags, *sample.missing))
    shared = [text if count == 1 else f"{text} ({count} samples)" for text, count in counts.items()]
    return [*job.problems, *shared]
