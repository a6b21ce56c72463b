"""Scores of the interfaces of one sample, from its files."""

import hashlib
from pathlib import Path

from af3opt.base.key import json_digest
from af3opt.scores.complexes import Complex, build_complex
from af3opt.scores.interface import FORMULAS, Interface, InterfaceScores
from af3opt.scores.interfaces import score_interfaces
from af3opt.scores.reading.confidences import Confidences, Scores, read_confidences, read_scores
from af3opt.scores.reading.files import UnreadableFileError, read_bytes
from af3opt.scores.reading.layout import SampleFiles
from af3opt.scores.reading.structure import read_structure
from af3opt.scores.reading.tokens import tokens_of_confidences, tokens_of_topology


def score_sample(files: SampleFiles) -> list[Interface]:
    """Reads one sample and scores its interfaces.

    Args:
        files: Its files; without confidences or summary, fewer scores are defined.

    Returns:
        One entry a pair of chains.

    Raises:
        UnreadableFileError: a file that is there cannot be used, or there is no structure.
    """
    return score_interfaces(load_complex(files))


def sample_scores(files: SampleFiles) -> InterfaceScores:
    """Scores the interfaces of a sample, rounded as they are recorded and shown.

    Args:
        files: Its files.

    Raises:
        UnreadableFileError: as for `score_sample`.
    """
    rounded = tuple(interface.rounded() for interface in score_sample(files))
    digest = sample_files_digest(files)
    return InterfaceScores(formulas=FORMULAS, interfaces=rounded, files=digest)


def sample_files_digest(files: SampleFiles) -> str:
    """Digest that tells a sample's files from those of another result in their place.

    Structure and summary count whole. Of the confidences, which are large, the size counts:
    another matrix gives another summary.

    Args:
        files: The files.

    Returns:
        40 hexadecimal digits.

    Raises:
        UnreadableFileError: a file cannot be read.
    """
    whole = [
        hashlib.sha256(read_bytes(path)).hexdigest() if path else None
        for path in (files.structure, files.summary)
    ]
    try:
        size = files.confidences.stat().st_size if files.confidences else None
    except OSError as error:
        raise UnreadableFileError(
            Path(files.label, "confidences.json"), error.strerror or "cannot be read"
        ) from error
    return json_digest([*whole, size])


def load_complex(files: SampleFiles) -> Complex:
    """Reads one sample's files.

    Args:
        files: The files.

    Raises:
        UnreadableFileError: as for `score_sample`.
    """
    if files.structure is None:
        raise UnreadableFileError(Path(files.label, "model.cif"), "missing")
    structure = read_structure(files.structure)
    confidences = read_confidences(files.confidences) if files.confidences else Confidences()
    summary = read_scores(files.summary) if files.summary else Scores()
    tokens = tokens_of_confidences(confidences, structure.topology)
    if tokens is None:
        tokens = tokens_of_topology(structure.topology)
    return build_complex(structure, confidences, tokens, summary)
