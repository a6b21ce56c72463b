"""Queries and databases that try to make a difference: odd sequences, odd files."""

import itertools

import numpy as np

from af3opt.benchmarks.made_proteins import made_protein

RELATIVES = 0.25
KINDS = ("usual", "short", "long", "low", "repeats", "coil", "membrane", "unclear")


def made_query(kind, generator):
    """A sequence of a kind that searches find hard."""
    length = int(generator.integers(30, 500))
    match kind:
        case "short":
            return made_protein(generator, int(generator.integers(10, 31)))
        case "long":
            return made_protein(generator, int(generator.integers(1000, 5001)))
        case "low":
            letters = generator.choice(list("QSGEPANK"), int(generator.integers(1, 4)))
            return made_protein(generator, 40) + "".join(generator.choice(letters, length))
        case "repeats":
            unit = made_protein(generator, int(generator.integers(5, 45)))
            return (unit * (length // len(unit) + 2))[: length + 20]
        case "coil":
            return coiled_coil(generator, length)
        case "membrane":
            return membrane_protein(generator, length)
        case "unclear":
            return strewn(made_protein(generator, length), "XBZUJO", 0.1, generator)
    return made_protein(generator, length)


def coiled_coil(generator, length):
    """Heptads with hydrophobic first and fourth positions."""
    places = ("LIVM", "EKRQ", "EKQA", "LIV", "EKRS", "EKQN", "KRED")
    letters = [generator.choice(list(place)) for _ in range(length // 7 + 1) for place in places]
    return "".join(letters[:length])


def membrane_protein(generator, length):
    """Hydrophobic helices of twenty residues between loops."""
    parts = []
    while sum(map(len, parts)) < length:
        parts.append("".join(generator.choice(list("LIVFAGWM"), 20)))
        parts.append(made_protein(generator, int(generator.integers(4, 16))))
    return "".join(parts)[:length]


def strewn(sequence, letters, share, generator):
    """Replaces a share of a sequence's residues."""
    changed = generator.random(len(sequence)) < share
    return "".join(
        str(generator.choice(list(letters))) if change else letter
        for letter, change in zip(sequence, changed, strict=True)
    )


def relative(query, generator):
    """A mutated stretch of the query, whole or in pieces, between random residues."""
    start = int(generator.integers(0, max(1, len(query) - 20)))
    stretch = query[start : start + int(generator.integers(20, 200))]
    changed = strewn(stretch, "ACDEFGHIKLMNPQRSTVWY", generator.uniform(0, 0.75), generator)
    pieces = [changed]
    if generator.random() < 0.3:
        middle = len(changed) // 2
        loop = made_protein(generator, int(generator.integers(1, 90)))
        pieces = [changed[:middle], loop, changed[middle:]] * int(generator.integers(1, 4))
    ends = [made_protein(generator, int(generator.integers(0, 120))) for _ in range(2)]
    return "".join([ends[0], *pieces, ends[1]])


def made_target(query, generator):
    """A target: random, of odd composition, or related to the query."""
    draw = generator.random()
    if draw < RELATIVES:
        return relative(query, generator)
    if draw < 0.3:
        return query
    if draw < 0.45:
        return made_query(str(generator.choice(["low", "repeats", "coil", "membrane"])), generator)
    if draw < 0.5:
        return made_protein(generator, int(generator.integers(1, 4)))
    return made_protein(generator, int(generator.integers(20, 600)))


def made_database(query, generator, hostile, targets=150):
    """A FASTA file as bytes.

    Args:
        query: Whose relatives are strewn in.
        generator: Random numbers.
        hostile: Odd letters, cases, blanks, lines, names and headers, as far as HMMER takes them.
        targets: Records.
    """
    records = []
    for number in range(targets):
        sequence = made_target(query, generator)
        name, description = f"target{number}", ""
        if hostile:
            sequence = _odd_letters(sequence, generator)
            name = str(generator.choice([name, "same", f"t|{number}|x/1-5", f"n{number};,'\""]))
            description = _odd_description(number, generator)
        records.append((name, description, sequence))
    if hostile:
        records.insert(3, ("long", "", made_protein(generator, 35_000)))
        records.insert(5, ("empty", "", ""))
    return _as_file(records, generator, hostile)


def _odd_letters(sequence, generator):
    draw = generator.random()
    if draw < 0.2:
        return sequence.lower()
    if draw < 0.4:
        return strewn(sequence, "XBZJUOxu", 0.05, generator)
    if draw < 0.5:
        # At the end: jackhmmer itself fails if such a letter lies in an alignment.
        return sequence + made_protein(generator, 60) + strewn("A" * 20, "*._~", 0.3, generator)
    return sequence


def _odd_description(number, generator):
    choices = [
        "",
        " ",
        f" made {number}",
        "\tafter a tab",
        " > not a record > x",
        " \xe4\xf6 \x01 y",
    ]
    return str(generator.choice([*choices, " " + "very long " * 500]))


def _as_file(records, generator, hostile):
    end = str(generator.choice(["\n", "\r\n"])) if hostile else "\n"
    width = int(generator.choice([7, 60, 80, 100_000])) if hostile else 60
    parts = []
    for name, description, sequence in records:
        gap = str(generator.choice(["", "", "", end, " " + end, end * 3])) if hostile else ""
        header = f">{' ' if hostile and generator.random() < 0.1 else ''}{name}{description}{end}"
        lines = ["".join(line) + end for line in itertools.batched(sequence, width)]
        if hostile and lines and generator.random() < 0.1:
            lines[-1] = lines[-1].rstrip()
        parts += [gap if parts else end * int(bool(gap)), header, *lines]
    text = "".join(parts)
    if hostile and generator.random() < 0.5:
        text = text.rstrip()
    return text.encode("latin-1")


def case(seed, kind, hostile):
    """A query and a database from a seed."""
    generator = np.random.default_rng(seed)
    query = made_query(kind, generator)
    return query, made_database(query, generator, hostile)
