"""`af3opt make-inputs`: AlphaFold 3 inputs from FASTA, tables, ligand lists and other JSON."""

import argparse
import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from af3opt.base.command_parser import CommandParser
from af3opt.base.errors import ExitCode, InputError, SetupError, UsageError
from af3opt.base.plain_text import visible
from af3opt.base.standard_streams import write_out

if TYPE_CHECKING:
    from af3opt.inputs.components import Dictionary
    from af3opt.inputs.making.plan import Made, Wishes

SUMMARY = "make inputs from FASTA, CSV/TSV, SMILES, SDF or AlphaFold Server JSON"

_DESCRIPTION = """\
Makes one AlphaFold 3 JSON file per job. The ending of a file name says what the file is:

  .fasta .fa .faa .fna   a record is a job; ':' separates the chains of a complex
  .csv .tsv              a row is a job; columns: name, sequence (chains with ':'), or one column
                         per chain: protein1, protein2, rna, dna, ccd, smiles; for each of them
                         X_copies, X_modifications (SEP@5; HYP@9), X_msa ('none' or an A3M file);
                         seeds (1,2 or 1-5). Cells may be empty.
  .smi .smiles           a line is a ligand: SMILES and its name
  .sdf .mol              a molecule is a ligand (needs RDKit)
  .json                  AlphaFold Server's list, or an input of the alphafold3 dialect

Files may be compressed (.gz, .xz, .zst). A chain is a protein, unless it is written as rna|...,
dna|..., ccd|... or smiles|... .
"""

_EPILOG = """\
examples:
  af3opt make-inputs --output_dir=inputs complexes.fasta
  af3opt make-inputs --output_dir=inputs --pairs proteins.fasta
  af3opt make-inputs --output_dir=inputs --targets=target.fasta --designed binders.fasta
  af3opt make-inputs --output_dir=inputs --targets=kinase.fasta ligands.smi
  af3opt make-inputs --output_dir=inputs fold_request.json

All jobs are checked as af3opt run checks them. If anything is wrong, all mistakes are listed with
file, line and column, and nothing is written. With --skip_bad, the good jobs are written.
Exit code: 0 if all jobs are written, 2 if none, 3 if some were skipped.
"""

_log = logging.getLogger(__name__)


def main(argv: list[str]) -> int:
    """Runs `af3opt make-inputs` and returns the exit code.

    Raises:
        UsageError: a flag is wrong, or files would be replaced.
        InputError: something in the sources is wrong.
        SetupError: a package is missing, or the directory cannot be written.
    """
    arguments = _parser().parse_args(argv)
    wishes = _wishes(arguments)
    from af3opt.inputs.making.plan import make_jobs

    dictionary = _dictionary()
    made = make_jobs(wishes, arguments.output_dir, dictionary)
    if made.has_codes and dictionary is None:
        _log.info("CCD codes are not checked: no component dictionary is prepared (af3opt prepare)")
    for remark in dict.fromkeys(made.remarks):
        _log.warning("%s", remark)
    for mistake in made.mistakes:
        _log.error("%s", mistake)
    if made.mistakes and not (arguments.skip_bad and made.jobs):
        raise InputError(
            f"{len(made.mistakes)} mistake(s) in the sources, each named above; nothing was "
            "written; correct them" + ("" if arguments.skip_bad else ", or add --skip_bad")
        )
    if arguments.dry_run:
        _list(made)
    else:
        _write(made, arguments, server=wishes.server)
    return ExitCode.SOME_FAILED if made.mistakes else ExitCode.OK


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="af3opt make-inputs",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sources", nargs="+", type=Path, metavar="FILE", help="file or directory")
    parser.add_argument(
        "--output_dir",
        type=Path,
        required=True,
        help="directory for the inputs; it is made if missing",
    )
    parser.add_argument(
        "--targets",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="combine each record of FILE with each of the sources; can be repeated",
    )
    parser.add_argument("--pairs", action="store_true", help="make a job of every pair of records")
    parser.add_argument(
        "--homodimers", action="store_true", help="with --pairs: also pair each record with itself"
    )
    parser.add_argument("--copies", default="1", help="copies of every record (default: 1)")
    parser.add_argument(
        "--kind",
        choices=("protein", "rna", "dna"),
        help="kind of sequences without a prefix (default: protein; an error if it is not clear)",
    )
    parser.add_argument(
        "--designed",
        action="store_true",
        help="the sources (not the targets) are designed proteins: empty alignments, no templates, "
        "no search",
    )
    parser.add_argument(
        "--upper_case", action="store_true", help="convert lower-case letters to upper case"
    )
    parser.add_argument("--seeds", default="1", help="seeds, such as 1,2,3 or 1-5 (default: 1)")
    parser.add_argument(
        "--dialect",
        choices=("alphafold3", "alphafoldserver"),
        default="alphafold3",
        help="dialect to write (default: alphafold3); alphafoldserver makes lists of 100 jobs",
    )
    parser.add_argument(
        "--skip_bad", action="store_true", help="leave bad jobs out, write the others"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument("--dry_run", action="store_true", help="list the jobs and write nothing")
    parser.add_argument(
        "--most_jobs", type=int, default=100_000, help="largest number of jobs (default: 100000)"
    )
    return parser


def _wishes(arguments: argparse.Namespace) -> "Wishes":
    from af3opt.inputs.making.cells import parse_copies, parse_seeds
    from af3opt.inputs.making.plan import Wishes
    from af3opt.inputs.making.records import BadCellError

    if arguments.pairs and arguments.targets:
        raise UsageError("af3opt make-inputs: give --pairs or --targets, not both")
    if arguments.homodimers and not arguments.pairs:
        raise UsageError("af3opt make-inputs: --homodimers goes with --pairs; or use --copies=2")
    for path in (*arguments.sources, *arguments.targets):
        if not path.exists():
            raise UsageError(f"af3opt make-inputs: {path}: no such file or directory")
    try:
        copies = parse_copies(arguments.copies)
    except BadCellError as error:
        raise UsageError(f"af3opt make-inputs: --copies: {error}") from error
    try:
        seeds = parse_seeds(arguments.seeds)
    except BadCellError as error:
        raise UsageError(f"af3opt make-inputs: --seeds: {error}") from error
    return Wishes(
        sources=arguments.sources,
        targets=arguments.targets,
        pairs=arguments.pairs,
        with_itself=arguments.homodimers,
        copies=copies,
        kind=arguments.kind,
        designed=arguments.designed,
        upper_case=arguments.upper_case,
        seeds=seeds,
        server=arguments.dialect == "alphafoldserver",
        most_jobs=arguments.most_jobs,
    )


def _dictionary() -> "Dictionary | None":
    """The prepared component dictionary, None where there is none."""
    from af3opt.data.ccd_index import CcdIndex
    from af3opt.data.prepared import find_prepared

    try:
        prepared = find_prepared()
        if prepared is not None:
            return CcdIndex(prepared.ccd_index)
    except SetupError as error:
        _log.info("%s", error)
    return None


def _list(made: "Made") -> None:
    for job in made.jobs:
        write_out(f"{job.name}: {visible(job.summary)}\n")
    write_out(f"{len(made.jobs)} job(s)\n")


def _write(made: "Made", arguments: argparse.Namespace, *, server: bool) -> None:
    from af3opt.inputs.making.writing import file_texts, foreign_inputs, write_files

    directory = arguments.output_dir
    texts = file_texts(made.jobs, server=server)
    same = write_files(directory, texts, overwrite=arguments.overwrite)
    others = foreign_inputs(directory, texts)
    if others:
        _log.warning("%s has %d other *.json file(s); a run folds them as well", directory, others)
    there = f", {same} unchanged" if same else ""
    write_out(f"{len(made.jobs)} job(s) in {len(texts)} file(s) in {directory}{there}\n")
    if not server:
        folder = shlex.quote(str(directory))
        write_out(f"next: af3opt run --input_dir={folder} --output_dir=OUTPUT\n")
