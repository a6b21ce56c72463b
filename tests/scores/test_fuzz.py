"""Whatever a structure looks like, it is scored or refused, never a crash."""

import dataclasses
import json
import math

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from af3opt.scores.reading.files import UnreadableFileError
from af3opt.scores.samples import score_sample
from tests.scores.models import Atom, write_model

_KINDS = {"": ("LIG", "MG", "ATP"), "polypeptide(L)": ("ALA", "GLY", "SEP", "UNK"),
          "polyribonucleotide": ("A", "N"), "polydeoxyribonucleotide": ("DA", "5MC")}  # fmt: skip
_NAMES = ("CA", "CB", "P", "C1'", "N", "OG", "H1", "MG")
_POSITION = st.one_of(st.floats(-20, 20), st.sampled_from((math.nan, math.inf, 1e30, -1e5, 0.0)))


@st.composite
def atoms(draw):
    found = []
    for chain in draw(st.lists(st.sampled_from("ABCD"), min_size=1, max_size=4)):
        kind = draw(st.sampled_from(tuple(_KINDS)))
        for number in range(1, draw(st.integers(1, 4)) + 1):
            comp = draw(st.sampled_from(_KINDS[kind]))
            for name in draw(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=4)):
                position = np.array([draw(_POSITION) for _ in range(3)])
                found.append(Atom(chain, kind, number, comp, name, position))
    return found


@given(atoms(), st.floats(0, 1), st.booleans())
@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_structure_is_scored_or_refused(tmp_path, found, trust, without_tokens):
    with np.errstate(all="ignore"):
        files = write_model(tmp_path, found, trust)
    if without_tokens:
        values = json.loads(files.confidences.read_text())
        del values["token_chain_ids"]
        files.confidences.write_text(json.dumps(values))
    try:
        interfaces = score_sample(files)
    except UnreadableFileError:
        return
    for interface in interfaces:
        for field in dataclasses.fields(interface):
            value = getattr(interface, field.name)
            assert not isinstance(value, float) or math.isfinite(value)
            assert field.name in ("chains", "kinds") or value is None or value >= 0
