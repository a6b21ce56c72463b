"""HMMER's results are whole, or the search fails.

HMMER's programs check what they write, except when they close a file. What was to be written
last is lost then without a word, as on a full disk: the program ends well, and the engine takes
a table, an alignment or a profile that was cut off, or an empty one, for what was found. So
after each program its files are looked at. Each has something that only a whole one has.
"""

import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from af3opt.base.errors import SetupError
from af3opt.engine.known_functions import known
from af3opt.engine.patching import Patch

NAME = "whole_results"

# Last line of an alignment or a profile, and of a table or a report.
_END = b"//\n"
_OK = b"[ok]\n"
_SHELL_SIGNALS = 128
_TABLE = "--tblout"
_TABLE_NAME = "hits.tbl"
# nhmmer aligns hits up to this E-value, of those that it lists.
_INCLUDED_E = 0.01
_E_COLUMN = 12
_NOTHING_ALIGNED = "# No hits satisfy inclusion thresholds"
# An A2M row has an upper-case letter or `-` for each position of the profile, and
# lower-case letters besides.
_POSITION = re.compile(rb"[A-Z*-]")
_RESIDUE = re.compile(rb"[A-Za-z*]")


class IncompleteResultError(SetupError):
    """A program ended well and left a file that was cut off."""


def value_of(command: Sequence[str], option: str) -> Path | None:
    """Returns the file that an option of a command names; None without the option."""
    words = list(command[1:-2])
    return Path(words[words.index(option) + 1]) if option in words[:-1] else None


def check_jackhmmer(command: Sequence[str], _report: str = "") -> None:
    """Checks alignment and table of a jackhmmer command.

    Raises:
        IncompleteResultError: one of them was cut off.
    """
    # The query is in it whatever was found.
    _check_end(command, "alignment", value_of(command, "-A"), _END)
    _check_end(command, "table", value_of(command, _TABLE), _OK)


def _check_nhmmer(command: Sequence[str], _report: str) -> None:
    alignment, table = value_of(command, "-A"), value_of(command, _TABLE)
    _check_end(command, "table", table, _OK)
    if alignment is None or table is None or _size(alignment) or _has_hits(table):
        _check_end(command, "alignment", alignment, _END)


def _check_hmmsearch(command: Sequence[str], report: str) -> None:
    alignment = value_of(command, "-A")
    if alignment is None or _size(alignment) or _NOTHING_ALIGNED not in report:
        _check_end(command, "alignment", alignment, _END)


def _check_hmmbuild(command: Sequence[str], _report: str) -> None:
    _check_end(command, "profile", Path(command[-2]), _END)


def _check_hmmalign(command: Sequence[str], _report: str) -> None:
    path = value_of(command, "-o")
    if path is not None and not _is_whole_a2m(path, Path(command[-1])):
        raise _incomplete(command, "alignment", path)


# A function of the command and of what the program printed. By the first word of the name
# that the engine gives to a command, such as "Jackhmmer (uniref90.fasta)".
_CHECKS: Mapping[str, Callable[[Sequence[str], str], None]] = {
    "jackhmmer": check_jackhmmer,
    "nhmmer": _check_nhmmer,
    "hmmsearch": _check_hmmsearch,
    "hmmbuild": _check_hmmbuild,
    "hmmalign": _check_hmmalign,
}


def _make_run(original: Callable[..., Any], _context: None) -> Callable[..., Any]:
    def run(cmd: Sequence[str], cmd_name: str, *args: Any, **options: Any) -> Any:
        program = cmd_name.partition(" ")[0].lower()
        if program == "nhmmer":
            cmd = _with_table(cmd)
        try:
            done = original(cmd, cmd_name, *args, **options)
        except RuntimeError as error:
            end = _end_without_a_word(error.__cause__)
            if end is None:
                raise
            raise RuntimeError(f"{cmd_name} {end}") from error
        if program in _CHECKS:
            try:
                _CHECKS[program](cmd, done.stdout or "")
            except SetupError as error:
                # The engine's callers, and what is around them, know its kind of error.
                raise RuntimeError(str(error)) from error
        return done

    return run


def _end_without_a_word(error: BaseException | None) -> str | None:
    """Says how a program ended that gave no reason, which the engine leaves out."""
    if not isinstance(error, subprocess.CalledProcessError) or (error.stderr or "").strip():
        return None
    status = error.returncode
    # A program inside a shell script: the shell reports its signal as 128 and the number.
    number = -status if status < 0 else status - _SHELL_SIGNALS
    if number not in signal.Signals:
        return f"failed with exit status {status} and gave no reason"
    end = f"was ended by the signal {signal.Signals(number).name}"
    return f"{end}; did memory run out?" if number == signal.SIGKILL else end


WHOLE_RESULTS = Patch[None](
    name=NAME,
    replacements=((known("data.tools.subprocess_utils", "run"), _make_run),),
)


def _with_table(command: Sequence[str]) -> Sequence[str]:
    """Lets nhmmer list its hits, too: without any it leaves an empty alignment."""
    alignment = value_of(command, "-A")
    if alignment is None or value_of(command, _TABLE) is not None:
        return command
    return [*command[:-2], _TABLE, str(alignment.with_name(_TABLE_NAME)), *command[-2:]]


def _check_end(command: Sequence[str], what: str, path: Path | None, end: bytes) -> None:
    if path is None:
        return
    size = _size(path)
    if size >= len(end):
        with path.open("rb") as file:
            file.seek(size - len(end))
            if file.read(len(end)) == end:
                return
    raise _incomplete(command, what, path)


def _incomplete(command: Sequence[str], what: str, path: Path) -> IncompleteResultError:
    return IncompleteResultError(
        f"{command[0]} left an incomplete {what} in {path}; is there space left? If not, set "
        "TMPDIR to a directory with more"
    )


def _size(path: Path) -> int:
    """Bytes of a file; 0 where there is none any more."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _has_hits(table: Path) -> bool:
    with table.open(encoding="utf-8", errors="replace") as lines:
        hits = (line.split() for line in lines if not line.startswith("#"))
        return any(float(hit[_E_COLUMN]) <= _INCLUDED_E for hit in hits)


def _is_whole_a2m(path: Path, sequences: Path) -> bool:
    """Tells whether an alignment ends with the last sequence that was to be aligned."""
    if not _size(path):
        return False
    aligned = path.read_bytes()
    rows, given = _records(aligned), _records(sequences.read_bytes())
    if not aligned.endswith(b"\n") or len(rows) != len(given):
        return False
    widths = {len(_POSITION.findall(row)) for row in (rows[0], rows[-1])}
    residues = {len(_RESIDUE.findall(record)) for record in (rows[-1], given[-1])}
    return len(widths) == len(residues) == 1


def _records(fasta: bytes) -> list[bytes]:
    """The sequences of a FASTA file, without their headers."""
    return [record.partition(b"\n")[2] for record in (b"\n" + fasta).split(b"\n>")[1:]]
