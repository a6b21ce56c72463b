"""Finding and reading the files that inputs are made from."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from af3opt.inputs.making import fasta, ligand_files, table
from af3opt.inputs.making.json_jobs import read_json_jobs
from af3opt.inputs.making.records import Harvest, Origin
from af3opt.inputs.reading import UnusableFileError, read_text_file

_PACKED = (".gz", ".xz", ".zst")
_JSON = ".json"
SUFFIXES = (
    *(*fasta.SUFFIXES, *table.SUFFIXES, *ligand_files.SMILES_SUFFIXES),
    *(*ligand_files.SDF_SUFFIXES, _JSON),
)


def read_sources(paths: Iterable[Path], kind: str | None) -> Harvest:
    """Reads all sources; directories stand for the files in them that can be read.

    Args:
        paths: Files and directories.
        kind: Kind of sequences that name none; None for proteins.

    Raises:
        SetupError: a source takes a package that is not installed.
    """
    harvest = Harvest()
    for path in paths:
        if not path.is_dir():
            harvest.add(_read(path, kind))
            continue
        files = list(_files_of(path))
        if not files:
            harvest.refuse(Origin(path), f"holds no file ending in {', '.join(SUFFIXES)}")
        for file in files:
            harvest.add(_read(file, kind))
    return harvest


def _files_of(directory: Path) -> Iterator[Path]:
    yield from (path for path in sorted(directory.iterdir()) if is_source(path))


def is_source(path: Path) -> bool:
    """Tells whether a path is a file whose name says that inputs can be made from it."""
    return _suffix(path) in SUFFIXES and path.is_file()


def _suffix(path: Path) -> str:
    """The suffix that says what a file is, without that of a compressed one."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _read(path: Path, kind: str | None) -> Harvest:
    suffix = _suffix(path)
    harvest = Harvest()
    if suffix not in SUFFIXES:
        harvest.refuse(
            Origin(path),
            f"its name does not tell what it is; it must end in {', '.join(SUFFIXES)}",
        )
        return harvest
    if suffix == _JSON:
        return read_json_jobs(path)
    try:
        text = read_text_file(path).removeprefix("\ufeff")
    except UnusableFileError as error:
        harvest.refuse(Origin(path), str(error))
        return harvest
    if suffix in table.SUFFIXES:
        return table.read_table(text, path, table.SUFFIXES[suffix], kind)
    if suffix in ligand_files.SMILES_SUFFIXES:
        return ligand_files.read_smiles(text, path)
    if suffix in ligand_files.SDF_SUFFIXES:
        return ligand_files.read_sdf(text, path)
    return fasta.read_fasta(text, path, kind)
