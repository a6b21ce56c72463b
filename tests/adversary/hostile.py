"""Inputs that nobody should write: known mistakes, odd files, and mutations of right ones."""

import copy
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.inputs.bad_jobs import BAD
from tests.test_fuzz_inputs import BAD_BYTES, mutate_bytes, mutate_value

RESIDUES = "MQIFVKTL"
# Longer ones are right, and take the time that they take.
LONGEST_TEXT = 2000

type Hostile = tuple[str, Callable[[Path], None]]

RIGHT: dict[str, Any] = {
    "dialect": "alphafold3",
    "version": 2,
    "name": "right",
    "modelSeeds": [1],
    "sequences": [
        {
            "protein": {
                "id": "A", "sequence": RESIDUES, "pairedMsa": "", "templates": [],
                "unpairedMsa": f">query\n{RESIDUES}\n>other\n{RESIDUES[:-2]}-A\n",
                "modifications": [{"ptmType": "SEP", "ptmPosition": 2}],
            }
        },
        {"rna": {"id": "R", "sequence": "ACGU", "unpairedMsa": ""}},
        {"dna": {"id": "D", "sequence": "ACGT"}},
        {"ligand": {"id": "L", "ccdCodes": ["GOL"]}},
        {"ligand": {"id": "S", "smiles": "CCO"}},
    ],
}  # fmt: skip


def with_protein(**change: Any) -> bytes:
    """Returns a right input with other fields of its protein."""
    content = copy.deepcopy(RIGHT)
    content["sequences"] = content["sequences"][:1]
    body = content["sequences"][0]["protein"]
    body.update(change)
    for name in [name for name, value in body.items() if value is None]:
        del body[name]
    return json.dumps(content).encode()


def with_name(name: str) -> bytes:
    """Returns a right input of another name."""
    return json.dumps({**RIGHT, "name": name}).encode()


def writes(content: bytes) -> Callable[[Path], None]:
    """Returns what writes an input."""
    return lambda path: _discard(path.write_bytes(content))


def with_path(make: Callable[[Path], Any], field: str) -> Callable[[Path], None]:
    """Returns what writes an input whose MSA or template is an odd thing beside it."""

    def write(path: Path) -> None:
        beside = path.with_suffix(".beside")
        make(beside)
        if field == "mmcifPath":
            template = {"mmcifPath": str(beside), "queryIndices": [0], "templateIndices": [0]}
            path.write_bytes(with_protein(templates=[template]))
        else:
            path.write_bytes(with_protein(**{"unpairedMsa": None, field: str(beside)}))

    return write


def odd_things() -> dict[str, Callable[[Path], Any]]:
    """What may lie where an alignment or a structure is expected."""
    return {
        "pipe": os.mkfifo,
        "directory": Path.mkdir,
        "nothing": lambda path: None,
        "link to nothing": lambda path: path.symlink_to("nowhere"),
        "endless": lambda path: path.symlink_to("/dev/zero"),
        "ring": lambda path: path.symlink_to(path.name),
        "bytes": lambda path: path.write_bytes(bytes(range(256)) * 100),
        "empty": lambda path: path.write_bytes(b""),
        "unequal rows": lambda path: path.write_text(f">q\n{RESIDUES}\n>o\n{RESIDUES}AAA\n"),
        "other query": lambda path: path.write_text(">q\nAAAAAAAA\n"),
        "compressed junk": lambda path: path.write_bytes(b"\x1f\x8b" + b"\x00" * 50),
    }


NAMES = (
    "", ".", "..", "../up", "/etc/passwd", "a/b", "failed.json", ".af3opt", "n" * 300, "\x00",
    "\ud800", "日本", "\x1b[2J", "a\nb", "-rf", "con", "é" * 120, "~", "$(id)", "'; --",
)  # fmt: skip


def known() -> Iterator[Hostile]:
    """Yields the mistakes that have a name."""
    for number, content in enumerate(BAD_BYTES):
        yield f"bytes {number}", writes(content)
    for opening in (b"[", b'{"a":', b'{"sequences": [{"protein": '):
        yield f"deep {opening!r}", writes(opening * 100_000)
    for value in ("Infinity", "-Infinity", "NaN", "1e999", "-1", "1" * 5000):
        yield f"seed {value[:9]}", writes(json.dumps({**RIGHT, "modelSeeds": [0]}).replace(
            '"modelSeeds": [0]', f'"modelSeeds": [{value}]').encode())  # fmt: skip
    yield "ring of links", lambda path: path.symlink_to(path.name)
    for field in ("unpairedMsaPath", "pairedMsaPath", "mmcifPath"):
        for label, make in odd_things().items():
            yield f"{field} {label}", with_path(make, field)
    for name in NAMES:
        yield f"name {name[:9]!r}", writes(with_name(name))
    for label, (content, _) in BAD.items():
        yield label, writes(json.dumps(content).encode())


def mutated(generator: random.Random) -> Iterator[Hostile]:
    """Yields right inputs with a few changes, without an end."""
    while True:
        if generator.random() < 0.25:
            yield "changed bytes", writes(mutate_bytes(json.dumps(RIGHT).encode(), generator))
            continue
        content: Any = copy.deepcopy(RIGHT)
        for _ in range(generator.randrange(1, 4)):
            content = mutate_value(content, generator)
        text = json.dumps(content)
        if "A" * LONGEST_TEXT not in text:
            yield "changed values", writes(text.encode())


def _discard(_: int) -> None:
    """Writing returns a number of bytes; nobody wants it."""
