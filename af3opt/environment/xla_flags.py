"""Reading and merging the flags in XLA_FLAGS."""

import dataclasses
from collections.abc import Sequence

# Flags whose value is a comma-separated list: both sides' entries count.
_LIST_FLAGS = frozenset({"--xla_disable_hlo_passes"})


@dataclasses.dataclass(frozen=True, slots=True)
class MergedFlags:
    """Outcome of a merge.

    Attributes:
        text: The value for XLA_FLAGS.
        added: Flags that were taken over, as written in `text`.
        kept: For each flag that was already there with another value, a note.
    """

    text: str
    added: tuple[str, ...]
    kept: tuple[str, ...]


def merge_xla_flags(existing: str, wanted: Sequence[str]) -> MergedFlags:
    """Adds flags to an XLA_FLAGS value; what is already there wins.

    Args:
        existing: Value of XLA_FLAGS. Text that does not start with a dash is the
            name of a file with flags, to which nothing can be added.
        wanted: Flags such as "--xla_x=true". The last of several with one name counts.
    """
    if existing and not existing.lstrip().startswith("-"):
        note = f"XLA_FLAGS names the file {existing.strip()}; add to it: {' '.join(wanted)}"
        return MergedFlags(existing, (), (note,) if wanted else ())
    merged = _by_name(existing.split())
    added: list[str] = []
    kept: list[str] = []
    for name, value in _by_name(wanted).items():
        theirs = merged.get(name, value)
        if name not in merged:
            merged[name] = value
            added.append(_written(name, value))
        elif name in _LIST_FLAGS:
            # Ours first: upstream's script looks for its entry right behind the "=".
            ours = (value or "").split(",")
            others = [entry for entry in (theirs or "").split(",") if entry not in ours]
            merged[name] = ",".join([*ours, *filter(None, others)])
            added.append(_written(name, merged[name]))
        elif theirs != value:
            kept.append(f"kept {_written(name, theirs)} (af3opt: {_written(name, value)})")
    text = " ".join(_written(name, value) for name, value in merged.items())
    return MergedFlags(text, tuple(added), tuple(kept))


def _by_name(flags: Sequence[str]) -> dict[str, str | None]:
    parts = (flag.partition("=") for flag in flags)
    return {name: value if equals else None for name, equals, value in parts}


def _written(name: str, value: str | None) -> str:
    return name if value is None else f"{name}={value}"
