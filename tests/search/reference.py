"""The filter's recurrence and HMMER's reading of FASTA, written as plainly as possible."""

import itertools
import re

import numpy as np

from af3opt.search import kernel
from af3opt.search.profile import CODES, Profile
from af3opt.search.thresholds import LONGEST_TARGET, FilterCosts

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
ANY_COSTS = FilterCosts(scale=4.328, base=190, bias=16, begin=40, end=3, mu=-10.0, decay=0.7)
_OTHER = {"*": 27, ".": 28, "_": 28, "~": 29}


def codes_of(sequence):
    """Codes of residues, as the compiled part numbers them."""
    return [_OTHER.get(letter) or ord(letter.upper()) - ord("A") + 1 for letter in sequence]


def segment_score(scores, sequence):
    """S of one target: 128 plus the best value of the saturating recurrence."""
    values = np.full(scores.shape[1] + 1, -128, np.int16)
    best = -128
    for code in codes_of(sequence):
        values[1:] = np.clip(values[:-1] + scores[code], -128, 127)
        best = max(best, int(values.max()))
    return best + 128


def random_scores(generator, residues):
    """Scores as a real query has them: few high ones, a negative mean, some forbidden."""
    usual = np.array([-6, -5, -4, -3, -2, -1, 0, 1, 2, 4, 7, 16], np.int8)
    share = [0.12, 0.12, 0.16, 0.14, 0.1, 0.1, 0.08, 0.06, 0.04, 0.04, 0.03, 0.01]
    return generator.choice(usual, (CODES, residues), p=share)


def keeps(least):
    """Thresholds by length from a dictionary; what it leaves out is never kept."""
    table = np.full(LONGEST_TARGET + 1, 255, np.uint8)
    for length, score in least.items():
        table[length] = score
    return table


def prepared(scores, least, isa):
    """A query with given scores and thresholds."""
    return kernel.prepare_query(Profile(scores, least, ANY_COSTS), isa)


def records_of(data):
    """The records of a FASTA file and their residues, as HMMER reads them.

    Written from the description in fasta.c, one character at a time.
    """
    position = re.match(rb"\s*", data).end()
    found = []
    while position < len(data):
        start = position
        while position < len(data) and data[position] not in b"\r\n":
            position += 1
        residues = []
        while position < len(data) and data[position : position + 1] != b">":
            letter = chr(data[position])
            if not letter.isspace():
                residues.append(letter)
            position += 1
        found.append((data[start:position], "".join(residues)))
    return found


def write_fasta(path, sequences, width=60):
    """Writes sequences under names of their number."""
    with path.open("w") as file:
        for number, sequence in enumerate(sequences):
            file.write(f">target{number} made\n")
            for line in itertools.batched(sequence, width):
                file.write("".join(line) + "\n")
    return path
