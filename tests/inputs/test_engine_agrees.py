"""The checks and the engine agree, whatever the input is.

What the checks accept, the engine loads and featurises; what the engine would refuse, the
checks refuse first. Inputs that are right by construction are never refused.
"""

import contextlib
import copy
import io
import json
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from af3opt.base.errors import InputError
from af3opt.inputs.checking import check_content
from tests.conftest import REPOSITORY
from tests.inputs.conftest import SEQUENCE, dna, job, ligand, protein, rna, server_job

pytestmark = [pytest.mark.engine, pytest.mark.slow]

_OFTEN = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
_SELDOM = settings(_OFTEN, max_examples=60)

_EXAMPLES = [json.loads(path.read_text()) for path in sorted(REPOSITORY.glob("examples/*.json"))]
_TEMPLATE = next(
    content["sequences"][0]["protein"]["templates"][0]
    for content in _EXAMPLES
    if isinstance(content, dict) and content["name"] == "template_given"
)
_TEMPLATE_LENGTH = 21

# ---- Inputs that are right.

PROTEIN_LETTERS = st.sampled_from("ACDEFGHIKLMNPQRSTVWYACDEFGHIKLMNPQRSTVWYXBJOUZ")
NAMES = st.text(string.ascii_letters + " _-.é", min_size=1, max_size=30).filter(
    lambda name: name.strip(" é.") != ""
)
SEEDS = st.lists(
    st.integers(0, 2**32 - 1) | st.integers(0, 99).map(str) | st.integers(0, 99).map(float),
    min_size=1,
    max_size=3,
)
LINE_ENDS = st.sampled_from(["\n", "\r\n", " \n\n"])


@st.composite
def alignments(draw, sequence, unknown):
    """A3M text whose first row is the sequence, with insertions, gaps and odd lines."""
    known = set("ACDEFGHIKLMNPQRSTVWY") if unknown == "X" else set("ACGU")
    query = "".join(letter if letter in known else unknown for letter in sequence)
    rows = [query]
    for _ in range(draw(st.integers(0, 3))):
        row = [draw(st.sampled_from(string.ascii_uppercase + "---")) for _ in sequence]
        place = draw(st.integers(0, len(row) - 1))
        row[place] += draw(st.text("acdé", max_size=3))
        rows.append("".join(row))
    end = draw(LINE_ENDS)
    text = draw(st.sampled_from(["", "#1\t1\n", "\n"]))
    for number, row in enumerate(rows):
        cut = draw(st.integers(0, len(row)))
        text += f">{number} x|y{end}{row[:cut]}{end}{row[cut:]}{end}"
    return text


@st.composite
def proteins(draw, chain_id):
    sequence = draw(st.text(PROTEIN_LETTERS, min_size=1, max_size=24))
    given_texts = draw(st.booleans())
    body = {"sequence": sequence, "unpairedMsa": "", "pairedMsa": "", "templates": []}
    if given_texts:
        body["unpairedMsa"] = draw(alignments(sequence, "X"))
        body["pairedMsa"] = draw(alignments(sequence, "X"))
    if draw(st.booleans()):
        pairs = draw(st.dictionaries(
            st.integers(0, len(sequence) - 1), st.integers(0, _TEMPLATE_LENGTH - 1)
        ))  # fmt: skip
        template = {"mmcif": _TEMPLATE["mmcif"], "queryIndices": [*pairs]}
        body["templates"] = [template | {"templateIndices": [*pairs.values()]}]
    if draw(st.integers(0, 3)) == 0:
        position = draw(st.integers(1, len(sequence)))
        body["modifications"] = [{"ptmType": "SEP", "ptmPosition": position}]
        if given_texts:
            body["unpairedMsa"] = body["pairedMsa"] = ""
    return {"protein": {"id": chain_id} | body}


@st.composite
def nucleic_acids(draw, chain_id):
    if draw(st.booleans()):
        return dna(id=chain_id, sequence=draw(st.text("ACGTN", min_size=1, max_size=12)))
    sequence = draw(st.text("ACGUN", min_size=1, max_size=12))
    text = draw(st.just("") | alignments(sequence, "N"))
    return rna(id=chain_id, sequence=sequence, unpairedMsa=text)


@st.composite
def ligands(draw, chain_id):
    what = draw(st.sampled_from([{"ccdCodes": ["ATP"]}, {"ccdCodes": ["MG"]}, {"smiles": "CCO"}]))
    return ligand(id=chain_id, **what)


@st.composite
def right_jobs(draw):
    """A job of the alphafold3 dialect that AlphaFold 3 can fold."""
    kinds = draw(st.lists(st.sampled_from([proteins, nucleic_acids, ligands]), max_size=3))
    entries = [protein(id=["A", "B"] if draw(st.booleans()) else "A")]
    entries += [draw(kind(string.ascii_uppercase[n + 2])) for n, kind in enumerate(kinds)]
    return job(
        *draw(st.permutations(entries)),
        name=draw(NAMES),
        modelSeeds=draw(SEEDS),
        version=draw(st.sampled_from([1, 2, 3, 4])),
    )


# ---- Inputs with a fault somewhere.

ODD_VALUES = st.sampled_from([
    None, True, False, 0, -1, 1, 20, 2**31, 2**70, 1.5, 2.0, "", " ", "A", "a", "X", "\x00", "ü",
    "ATP\n", "UNL", "CCD_ATP", "../x", "AAAAAAAA", ">q\nAC*", [], [[]], [None], ["A", 1], ["A"],
    ["ATP"], {}, {"": {}}, {"id": "A"}, [["A", 1, "CA"], ["B", 1, "PA"]], [0, 1], [-1], "data_X",
    SEQUENCE.lower(), f">q\n{SEQUENCE}\n>r\nAC\n", f">q\n{SEQUENCE}\n", {"ccdCodes": ["ATP"]},
])  # fmt: skip
SERVER_JOBS = [
    server_job({"proteinChain": {"sequence": SEQUENCE, "useStructureTemplate": False}}),
    server_job({"dnaSequence": {"sequence": "GATTACA", "count": 2}}, {"ion": {"ion": "MG"}}),
    server_job(
        {"rnaSequence": {"sequence": "ACGU", "modifications": [
            {"modificationType": "CCD_2MG", "basePosition": 1}]}},
        {"ligand": {"ligand": "CCD_ATP", "count": 2}},
        dialect="alphafoldserver", version=1,
    ),
]  # fmt: skip
STARTS = [
    *(content for content in _EXAMPLES if isinstance(content, dict)),
    *([content] for content in SERVER_JOBS),
]


def places(value, path=()):
    """Yields the path of everything inside a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else ()
    children = enumerate(value) if isinstance(value, list) else children
    for key, child in children:
        if len(path) < 7:
            yield from places(child, (*path, key))


@st.composite
def faulty_jobs(draw):
    content = copy.deepcopy(draw(st.sampled_from(STARTS)))
    for _ in range(draw(st.integers(1, 2))):
        spots = [path for path in places(content) if len(path) > isinstance(content, list)]
        if not spots:
            break
        *parents, last = draw(st.sampled_from(spots))
        holder = content
        for key in parents:
            holder = holder[key]
        change = draw(st.sampled_from(["replace", "replace", "remove", "double", "rename", "type"]))
        if change == "remove":
            del holder[last]
        elif change == "double" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[last]))
        elif change == "rename" and isinstance(holder, dict):
            holder[f"{last}x"] = holder.pop(last)
        elif change == "type" and isinstance(holder[last], str):
            text = holder[last]
            place = draw(st.integers(0, min(len(text), 60)))
            holder[last] = (
                text[:place] + draw(st.sampled_from(list("x?0-_ \n>*.Xé"))) + text[place:]
            )
        else:
            holder[last] = copy.deepcopy(draw(ODD_VALUES))
    return content


# ---- What the engine says.


@pytest.fixture(scope="module")
def engine(shared_home):
    """The engine's modules, with component data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AF3OPT_HOME", str(shared_home))
        patch.setenv("JAX_PLATFORMS", "cpu")
        from af3opt.data.bootstrap import bootstrap_engine
        from af3opt.engine.modules import engine_module

        bootstrap_engine()
        yield engine_module


def engine_loads(engine, content):
    """What the engine says of an input when it loads it; None if nothing."""
    loader = engine("common.folding_input").Input
    try:
        if isinstance(content, list):
            for entry in content:
                loader.from_alphafoldserver_fold_job(entry)
        else:
            loader.from_json(json.dumps(content), "/nowhere/input.json")
    except Exception as error:
        return error
    return None


def load_and_featurise(path):
    """Loads through all checks, then featurises; what the checks refuse is an InputError."""
    from af3opt.engine.inputs import load_fold_inputs, make_ccd, needs_search
    from af3opt.engine.msa import _fill_without_search
    from af3opt.features.engine_features import featurise_with_engine
    from af3opt.features.options import FeatureOptions

    for fold_input in load_fold_inputs(path):
        if needs_search(fold_input):
            filled = fold_input.fill_missing_fields()
        else:
            with contextlib.redirect_stdout(io.StringIO()):
                filled = _fill_without_search(fold_input)
        options = FeatureOptions(buckets=(256, 1024))
        ccd = make_ccd(filled.user_ccd)
        featurise_with_engine(filled, filled.rng_seeds[0], ccd, options)
        filled.to_json()


@_SELDOM
@given(right_jobs())
def test_what_is_right_is_accepted_and_featurised(engine, tmp_path, content):
    path = tmp_path / "input.json"
    path.write_text(json.dumps(content))
    load_and_featurise(path)


@_OFTEN
@given(faulty_jobs())
def test_what_is_accepted_the_engine_loads_and_featurises(engine, tmp_path, content):
    path = tmp_path / "input.json"
    path.write_text(json.dumps(content))
    jobs = range(len(content)) if isinstance(content, list) else [0]
    accepted = not any(check_content(content, path, n).findings.errors for n in jobs)
    complaint = engine_loads(engine, content)
    # Paths differ (the engine is told of another directory), nothing else may.
    assert not (accepted and complaint is not None), repr(complaint)
    if accepted:
        with contextlib.suppress(InputError):
            load_and_featurise(path)
