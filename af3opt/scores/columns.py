"""The columns of a table of scores: what is in them, and which end is the good one."""

import dataclasses
from collections.abc import Iterable, Iterator

from af3opt.base.json_types import JsonObject
from af3opt.scores.collecting import CollectedSample
from af3opt.scores.interface import Interface, main_interface

# A value for each column, of the column's kind or None.
type Row = JsonObject


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        kind: Type of its values; any may be None.
        digits: Decimals where people read it.
        ascending: Whether low values come first when it is sorted by.
        shown: Whether people see it without asking for all columns.
    """

    kind: type[str | int | float | bool]
    digits: int = 3
    ascending: bool = False
    shown: bool = False


# Columns of the first versions come first, in their order: scripts may count them.
COLUMNS = {
    "job": Column(str, ascending=True, shown=True),
    "directory": Column(str, ascending=True),
    "seed": Column(int, ascending=True, shown=True),
    "sample": Column(int, ascending=True, shown=True),
    "ranking_score": Column(float, 3, shown=True),
    "best": Column(bool),
    "ptm": Column(float, 2),
    "iptm": Column(float, 2, shown=True),
    "fraction_disordered": Column(float, 2, ascending=True),
    "has_clash": Column(float, 0, ascending=True),
    "interface": Column(str, ascending=True, shown=True),
    "ipsae_min": Column(float, shown=True),
    "ipsae_max": Column(float),
    "ipsae_ab": Column(float),
    "ipsae_ba": Column(float),
    "ipsae_d0chn_min": Column(float),
    "ipsae_d0chn_max": Column(float),
    "ipsae_d0dom_min": Column(float),
    "ipsae_d0dom_max": Column(float),
    "pdockq": Column(float),
    "pdockq2_min": Column(float),
    "pdockq2_max": Column(float, shown=True),
    "lis": Column(float),
    "clis": Column(float),
    "ilis": Column(float, shown=True),
    "pair_iptm": Column(float, 2, shown=True),
    "pair_pae_min": Column(float, 1, ascending=True, shown=True),
    "contacts": Column(int, shown=True),
    "buried_area": Column(float, 0, shown=True),
}
INTERFACE_COLUMNS = tuple(COLUMNS)[tuple(COLUMNS).index("interface") :]
_DIRECTED = ("ipsae", "ipsae_d0chn", "ipsae_d0dom", "pdockq2")


def rows_of(
    samples: Iterable[CollectedSample], *, interface: str = "", every_interface: bool = False
) -> Iterator[Row]:
    """Yields the rows of a table.

    Args:
        samples: What was collected.
        interface: Two chains as in "A:B", in either order, to show of each sample; by
            default its main interface, see `main_interface`.
        every_interface: A row for each interface instead.

    Yields:
        Values by `COLUMNS`. A sample without such an interface has one row without its
        scores.
    """
    for sample in samples:
        found = sample.interfaces.interfaces if sample.interfaces else ()
        chosen: list[Interface | None] = [*found]
        if interface:
            wanted = sorted(interface.split(":"))
            chosen = [one for one in found if sorted(one.chains) == wanted]
        elif not every_interface:
            chosen = [main_interface(found)]
        for one in chosen or [None]:
            yield _sample_values(sample) | interface_values(one)


def sorted_rows(rows: Iterable[Row], column: str, *, reverse: bool = False) -> list[Row]:
    """Sorts rows by a column: best values first, or last; those without a value always last."""
    listed = list(rows)
    known = [row for row in listed if row[column] is not None]
    unknown = [row for row in listed if row[column] is None]
    # Equal values stay in their order either way.
    known.sort(key=lambda row: row[column], reverse=COLUMNS[column].ascending == reverse)
    return known + unknown


def best_rows(rows: Iterable[Row], column: str, *, by_interface: bool = False) -> list[Row]:
    """Keeps the row with the best value of a column of each job, or of each of its interfaces."""
    best: dict[tuple[str, str | None], Row] = {}
    for row in sorted_rows(rows, column):
        best.setdefault((row["directory"], row["interface"] if by_interface else None), row)
    return sorted(best.values(), key=lambda row: row["directory"])


def _sample_values(sample: CollectedSample) -> Row:
    summary = sample.summary
    return {
        "job": sample.job,
        "directory": sample.directory,
        "seed": sample.seed,
        "sample": sample.sample,
        "ranking_score": sample.ranking_score,
        "best": sample.best,
        "ptm": summary.ptm,
        "iptm": summary.iptm,
        "fraction_disordered": summary.fraction_disordered,
        "has_clash": None if summary.has_clash is None else float(summary.has_clash),
    }


def interface_values(interface: Interface | None) -> Row:
    """Values by `INTERFACE_COLUMNS`, all None without an interface."""
    if interface is None:
        return dict.fromkeys(INTERFACE_COLUMNS)
    values: Row = dataclasses.asdict(interface) | {"interface": interface.name}
    for score in _DIRECTED:
        values[f"{score}_min"] = interface.smaller(score)
        values[f"{score}_max"] = interface.larger(score)
    return {name: values[name] for name in INTERFACE_COLUMNS}
