"""Tuning: what is kept, when it is used, and how candidates are ranked."""

import dataclasses
import json
import os

import pytest

from af3opt.base.errors import Af3optError, UsageError
from af3opt.commands import tune
from af3opt.environment import tuning
from af3opt.environment.cpu_flags import cpu_xla_flags
from af3opt.environment.known_flags import KNOWN_FLAGS, WIDE_VECTORS
from af3opt.environment.tuning import Candidate, load_tuning, save_tuning, tuning_file
from af3opt.host.host import probe_host
from af3opt.settings.settings import resolve_settings
from tests.other_user import give_away

KNOWN = WIDE_VECTORS.flag
CHOSEN = Candidate(xla_flags=(KNOWN,), trunk_precision="mixed", diffusion_precision="split")


class Engine:
    fingerprint = "engine"


@pytest.fixture(autouse=True)
def known_software(monkeypatch):
    monkeypatch.setattr(tuning, "find_engine", Engine)
    monkeypatch.setattr(tuning.importlib.metadata, "version", lambda _name: "1.2.3")


@pytest.fixture
def host():
    return probe_host(os.environ)


def settings(*flags):
    return resolve_settings(["--json_path=input.json", *flags], {})


def test_result_is_found_again_with_its_flags(host):
    assert load_tuning(settings(), host) is None
    path = save_tuning(host, CHOSEN, [])
    assert path.stat().st_mode & 0o077 == 0
    assert load_tuning(settings(), host) == CHOSEN
    assert [flag for flag, _ in cpu_xla_flags(settings(), host)] == [KNOWN]


@pytest.mark.parametrize("flag", ["--notuned", "--fidelity=exact"])
def test_result_is_ignored_on_request(host, flag):
    save_tuning(host, CHOSEN, [])
    assert load_tuning(settings(flag), host) is None
    assert KNOWN not in [name for name, _ in cpu_xla_flags(settings(flag), host)]


def test_results_of_two_jaxlibs_cores_or_engines_never_mix(host, monkeypatch):
    paths = {tuning_file(host)}
    cpu = dataclasses.replace(host.cpu, usable_cores=host.cpu.usable_cores + 1)
    paths.add(tuning_file(dataclasses.replace(host, cpu=cpu)))
    monkeypatch.setattr(tuning.importlib.metadata, "version", lambda _name: "1.2.4")
    paths.add(tuning_file(host))
    monkeypatch.setattr(Engine, "fingerprint", "another")
    paths.add(tuning_file(host))
    assert len(paths) == 4


def as_chosen(**changes):
    chosen = {"xla_flags": [], "trunk_precision": "mixed", "diffusion_precision": "split"}
    return json.dumps({"chosen": {**chosen, **changes}})


@pytest.mark.parametrize(
    "content",
    ["", "{}", '{"chosen": {"unknown": 1}}', '{"chosen": 5}', "[" * 100_000, '{"chosen": Infinity}',
     as_chosen(xla_flags=["--xla_dump_to=/tmp/x"]),
     as_chosen(xla_flags=[f"{KNOWN} --xla_dump_to=x"]),
     as_chosen(xla_flags=KNOWN), as_chosen(xla_flags=[["a"]]), as_chosen(xla_flags=None),
     as_chosen(trunk_precision="bfloat8"), as_chosen(diffusion_precision=["split"])],
)  # fmt: skip
def test_damaged_file_is_ignored_with_a_warning(host, content, caplog):
    path = save_tuning(host, CHOSEN, [])
    path.write_text(content)
    assert load_tuning(settings(), host) is None
    assert "run `af3opt tune` again" in caplog.text


@pytest.mark.parametrize("how", ["fifo", "link", "mode", "folder", "owner"])
def test_flags_come_only_from_a_file_of_ones_own(host, how, caplog, tmp_path):
    path = save_tuning(host, CHOSEN, [])
    assert load_tuning(settings(), host) == CHOSEN
    if how == "fifo":
        path.unlink()
        os.mkfifo(path)
    elif how == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    elif how == "mode":
        path.chmod(0o666)
    elif how == "folder":
        path.parent.chmod(0o777)
    elif os.geteuid() == 0:
        give_away(path)
    else:
        pytest.skip("needs chown")
    assert load_tuning(settings(), host) is None
    assert "run `af3opt tune` again" in caplog.text


def probe_result(mixed_error=1e-3):
    return {
        "trunk": {"float32": [1.0, 0.0], "mixed": [0.5, mixed_error]},
        "diffusion": {"float32": [1.0, 0.0], "split": [0.6, 1e-5]},
    }


def test_fastest_accurate_candidate_is_kept(host):
    tune.tune(host, lambda _flags: probe_result())
    chosen = load_tuning(settings(), host)
    assert chosen == Candidate(trunk_precision="mixed", diffusion_precision="split")


def test_inaccurate_candidate_is_refused(host):
    tune.tune(host, lambda _flags: probe_result(mixed_error=float("nan")))
    assert load_tuning(settings(), host).trunk_precision == "float32"


def test_failing_flag_set_is_left_out(host):
    tune.tune(host, lambda flags: probe_result() if flags else None)
    measured = json.loads(tuning_file(host).read_text())["measured"]
    assert [entry["xla_flags"] for entry in measured] == [
        list(flags) for flags in tune.FLAG_SETS if flags
    ]


def test_a_set_that_fails_once_is_not_trusted(host):
    turns = []

    def probe(flags):
        turns.append(flags)
        return None if turns.count(()) == 2 and not flags else probe_result()

    tune.tune(host, probe)
    measured = json.loads(tuning_file(host).read_text())["measured"]
    assert [] not in [entry["xla_flags"] for entry in measured]
    assert load_tuning(settings(), host).xla_flags


def test_other_work_in_one_turn_does_not_decide(host):
    slow_and_fast = {flags: [9.0, 0.1 if flags else 9.0] for flags in tune.FLAG_SETS}

    def probe(flags):
        seconds = slow_and_fast[flags].pop(0)
        return {part: {"float32": [seconds, 0.0]} for part in ("trunk", "diffusion")}

    tune.tune(host, probe)
    assert load_tuning(settings(), host).xla_flags == tune.FLAG_SETS[1]


def test_nothing_measured_is_an_error(host):
    with pytest.raises(Af3optError, match="nothing could be measured"):
        tune.tune(host, lambda _flags: None)


def test_arguments_are_refused():
    with pytest.raises(UsageError, match="no arguments"):
        tune.main(["--quick"])


def test_every_set_that_is_tried_can_be_used():
    assert {flag for flags in tune.FLAG_SETS for flag in flags} <= KNOWN_FLAGS
