"""Malformed inputs: each is either accepted or refused in one line, and nothing is written."""

import copy
import json
import random

import pytest

from af3opt.base.errors import Af3optError, InputError
from af3opt.environment.backend import Backend
from af3opt.environment.startup import Startup
from af3opt.execution.job.loading import check_job
from af3opt.execution.job.session import Session, import_engine
from af3opt.execution.planning.plan import plan_jobs, read_jobs
from af3opt.host.host import probe_host
from af3opt.settings.settings import resolve_settings
from af3opt.settings.upstream import DEFAULT_BUCKETS
from tests.conftest import REPOSITORY

EXAMPLES = sorted((REPOSITORY / "examples").glob("*.json"))
NUMBER = 400
ODD_VALUES = [
    None, True, False, 0, -1, 1, 2**31, 2**70, 1.5, float("nan"), float("inf"), "", " ", "A", "a",
    "X", "\x00", "ü", "ATP\n", "../../etc/passwd", "A" * 3000, [], [[]], [None], ["A", 1], {},
    {"": {}}, {"id": "A"}, [["A", 1, "CA"], ["B", 1, "CB"]], [["A", 99999, "CA"], ["A", 0, "N"]],
]  # fmt: skip
BAD_BYTES = [
    b"",
    b"\xff\xfe",
    b"\x00",
    b"{",
    b"[",
    b"null",
    b"1",
    b'"text"',
    b"[]",
    b"{}",
    b"[1, 2]",
]


def places(value, path=()):
    """Yields the path of everything inside a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else ()
    children = enumerate(value) if isinstance(value, list) else children
    for key, child in children:
        yield from places(child, (*path, key))


def mutate_value(content, generator):
    """Changes one place: replaces, removes, doubles or renames it."""
    spots = [path for path in places(content) if path]
    if not spots:
        return generator.choice(ODD_VALUES)
    *parents, last = generator.choice(spots)
    holder = content
    for key in parents:
        holder = holder[key]
    action = generator.randrange(5)
    if action == 0:
        del holder[last]
    elif action == 1 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[last]))
    elif action == 1:
        holder[f"{last}x"] = holder.pop(last)
    elif action == 2 and isinstance(holder[last], str):
        text = holder[last]
        place = generator.randrange(len(text) + 1)
        holder[last] = text[:place] + generator.choice("x?0-_ \n\"'>\\é\x01") + text[place:]
    else:
        holder[last] = copy.deepcopy(generator.choice(ODD_VALUES))
    return content


def mutate_bytes(data, generator):
    """Damages the text itself: cut off, bytes changed, bytes inserted."""
    place = generator.randrange(len(data))
    match generator.randrange(4):
        case 0:
            return data[:place]
        case 1:
            return data[:place] + bytes([generator.randrange(256)]) + data[place + 1 :]
        case 2:
            return data[:place] + data[place : place + 40] + data[place:]
        case _:
            return b"\xef\xbb\xbf" + data if generator.random() < 0.2 else data[place:]


def malformed_inputs():
    """Yields (label, bytes), always the same."""
    yield from ((f"bytes {number}", data) for number, data in enumerate(BAD_BYTES))
    yield "deep", b"[" * 100_000 + b"]" * 100_000
    for number in range(NUMBER):
        generator = random.Random(number)
        data = EXAMPLES[number % len(EXAMPLES)].read_bytes()
        if number % 4 == 3:
            yield f"text {number}", mutate_bytes(data, generator)
            continue
        content = json.loads(data)
        for _ in range(generator.randrange(1, 4)):
            content = mutate_value(content, generator)
        yield f"value {number}", json.dumps(content).encode()


def test_planning_never_fails(tmp_path):
    for number, (_, data) in enumerate(malformed_inputs()):
        (tmp_path / f"{number:04}.json").write_bytes(data)
    paths = sorted(tmp_path.iterdir())
    jobs = list(plan_jobs(paths, by_bucket=True, buckets=DEFAULT_BUCKETS))
    assert {job.path for job in jobs} == set(paths)
    assert all("/" not in job.sanitised_name for job in jobs)


@pytest.mark.engine
def test_each_is_accepted_or_refused_in_one_line(tmp_path, prepared_home, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    output = tmp_path / "out"
    settings = resolve_settings(
        [f"--output_dir={output}", "--norun_data_pipeline", "--nofeature_cache"], {}
    )
    startup = Startup(Backend("cpu", None, "xla", ""), probe_host({}), ())
    session = Session(settings=settings, startup=startup, output_dir=output)
    import_engine(session)
    path = tmp_path / "input.json"
    refused = accepted = 0
    wrong = []
    for label, data in malformed_inputs():
        path.write_bytes(data)
        for planned in read_jobs(path):
            try:
                check_job(session, None, planned)
                accepted += 1
            except InputError as error:
                refused += 1
                if not str(error).strip() or str(path) not in str(error):
                    wrong.append(f"{label}: does not name the file: {error}")
            except Af3optError as error:
                wrong.append(f"{label}: not an error of the input: {error!r}")
            except Exception as error:
                wrong.append(f"{label}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)
    assert not output.exists()
    assert refused > 200
    assert accepted > 20
