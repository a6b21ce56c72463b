"""Comparing two output trees file by file."""

import json
import re
from pathlib import Path

import numpy as np

# The engine writes the time of writing into each mmCIF.
_TIME_STAMP = re.compile(r"@ \d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}")
_OWN_FILES = re.compile(r"(_af3opt\.json|\.html)$")


def tree_files(root: Path) -> dict[str, Path]:
    """Relative name -> file, for what upstream writes (our record and report left out)."""
    return {
        path.relative_to(root).as_posix(): path
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and not _OWN_FILES.search(path.name)
        and ".af3opt" not in path.relative_to(root).parts
        and path.name != "failed.json"
    }


def comparable(path: Path) -> object:
    """A file's content without its time stamp and without the mark of synthetic weights."""
    if path.suffix == ".cif":
        lines = path.read_text().splitlines()
        kept = [line for line in lines if not line.startswith("# Made with random synthetic")]
        return _TIME_STAMP.sub("@ TIME", "\n".join(kept))
    if path.name.endswith("summary_confidences.json"):
        content = json.loads(path.read_text())
        content.pop("af3opt_note", None)
        return content
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: (arrays[name].dtype, arrays[name].tobytes()) for name in arrays}
    return path.read_bytes()


def differences(ours: Path, reference: Path) -> list[str]:
    """Names of files that only one tree has, or whose contents differ."""
    left, right = tree_files(ours), tree_files(reference)
    lines = [f"only one tree has {name}" for name in sorted({*left} ^ {*right})]
    for name in sorted({*left} & {*right}):
        if name == "TERMS_OF_USE.md" or name.endswith("/TERMS_OF_USE.md"):
            continue
        if comparable(left[name]) != comparable(right[name]):
            lines.append(f"{name} differs")
    return lines
