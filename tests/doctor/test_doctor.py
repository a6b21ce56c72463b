"""`af3opt doctor`: every check against made-up machines, and the command on this one."""

import dataclasses
import errno
import json
import os
import shutil
import stat
import time
from pathlib import Path

import pytest

from af3opt import cli
from af3opt.base.errors import SetupError
from af3opt.data.prepared import PreparedData
from af3opt.data.source import describe_file
from af3opt.doctor import cluster, examination, hardware, searches, software, storage, variables
from af3opt.doctor.check import Check, Verdict, gigabytes
from af3opt.doctor.filesystems import file_system_of, read_speed
from af3opt.environment.tuning import Candidate
from af3opt.host.host import Memory
from af3opt.host.queues.core import BatchJob
from af3opt.search.aside import Aside
from af3opt.search.kernel import instruction_set
from tests.conftest import REPOSITORY
from tests.doctor.subjects import CPU, V100, only, subject, verdicts


def test_sizes_are_given_in_a_unit_that_fits():
    assert [gigabytes(size) for size in (2_500_000, 1.5e9, 3e11)] == ["2.5 MB", "1.5 GB", "300 GB"]


def test_a_processor_without_avx2_is_slow():
    old = dataclasses.replace(CPU, isa=frozenset({"sse2"}))
    assert only(hardware.check_cpu(subject(cpu=old)), "CPU").verdict is Verdict.WARN
    assert only(hardware.check_cpu(subject()), "CPU").verdict is Verdict.OK


def test_an_arm_processor_is_said_to_be_untried():
    grace = dataclasses.replace(CPU, isa=frozenset({"asimd", "sve2", "bf16"}))
    check = only(hardware.check_cpu(subject(cpu=grace)), "CPU")
    assert check.verdict is Verdict.WARN
    assert "sve2, asimd; af3opt was never run on an ARM processor" in check.found


def test_more_threads_than_cores_are_noticed():
    check = only(hardware.check_cpu(subject("--num_threads=8")), "threads")
    assert check.verdict is Verdict.WARN
    assert "4 usable cores" in check.found


def test_little_memory_is_noticed():
    checks = list(hardware.check_memory(subject(memory=Memory(2_000_000_000, "Slurm"))))
    assert verdicts(checks) == {"memory": Verdict.WARN}


def test_volta_is_warned_about_its_numerics():
    checks = list(hardware.check_gpu(subject(gpus=(V100,), gpu_problem=None)))
    assert only(checks, "GPU 0 numerics").fix.endswith("custom-kernel-fusion-rewriter")


def test_a_gpu_asked_for_and_missing_fails():
    (check,) = hardware.check_backend(subject("--jax_backend=gpu"))
    assert check.verdict is Verdict.FAIL
    assert "nvidia-smi is not on PATH" in check.found
    assert "--gres=gpu:1" in check.fix


@pytest.mark.parametrize(
    ("table", "plugin", "verdict"),
    [
        ("CUDA Version: 11.4", "jax-cuda12-plugin", Verdict.FAIL),
        ("CUDA Version: 12.4", "jax-cuda12-plugin", Verdict.OK),
        ("CUDA Version: 12.4", "jax-cuda13-plugin", Verdict.FAIL),
        ("CUDA UMD Version: 13.0", "jax-cuda12-plugin", Verdict.OK),
        ("no table", "jax-cuda12-plugin", Verdict.WARN),
        ("CUDA Version: 12.4", None, Verdict.FAIL),
    ],
)
def test_driver_against_plugin(table, plugin, verdict, monkeypatch, tmp_path):
    script = tmp_path / "nvidia-smi"
    script.write_text(f'#!/bin/sh\necho "| NVIDIA-SMI 550 {table} |"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    examined = subject(gpus=(V100,), gpu_problem=None, environ={"PATH": str(tmp_path)})
    versions = {plugin: "0.10.2"} if plugin else {}
    assert verdicts(software.judge_cuda(examined, versions)) == {"CUDA": verdict}


def test_a_plugin_of_another_release_is_found():
    versions = {"jax": "0.10.2", "jaxlib": "0.10.2", "jax-cuda12-plugin": "0.9.1"}
    checks = list(software.judge_jax(subject(), versions))
    assert only(checks, "jax plugin").verdict is Verdict.FAIL
    assert "bench" in only(checks, "jax upgrade").fix


@pytest.mark.parametrize(("isa", "words"), [("avx512_bf16", "natively"), ("avx2", "float32")])
def test_what_an_upgrade_brings_depends_on_the_processor(isa, words):
    versions = {"jax": "0.10.2", "jaxlib": "0.10.2"}
    examined = subject(cpu=dataclasses.replace(CPU, isa=frozenset({isa})))
    assert words in only(software.judge_jax(examined, versions), "jax upgrade").found


def test_a_new_jax_needs_no_upgrade():
    versions = {"jax": "0.12.0.1", "jaxlib": "0.12.0.1"}
    assert verdicts(software.judge_jax(subject(), versions)) == {"jax": Verdict.OK}


def test_the_tuned_choice_is_shown(monkeypatch):
    (untuned,) = software.check_tuning(subject())
    assert untuned.verdict == Verdict.SKIP
    assert untuned.found.startswith("only the shipped XLA flags are used (--xla_")
    chosen = Candidate(
        xla_flags=("--xla_x=1",), trunk_precision="mixed", diffusion_precision="split"
    )
    monkeypatch.setattr(software, "load_tuning", lambda *_: chosen)
    (check,) = software.check_tuning(subject())
    assert check.found == "--xla_x=1, trunk mixed, diffusion split"
    assert verdicts(software.check_tuning(subject("--norun_inference"))) == {"tuning": Verdict.SKIP}


def test_no_engine_is_one_failure_with_its_fix(monkeypatch):
    def missing():
        raise SetupError("no AlphaFold 3 engine is installed for this Python; install it")

    monkeypatch.setattr(software, "find_engine", missing)
    (check,) = software.check_engine(subject())
    assert check == Check(
        "engine",
        Verdict.FAIL,
        "no AlphaFold 3 engine is installed for this Python",
        "install it",
    )


@pytest.mark.parametrize(
    ("own", "prepared", "verdict", "found"),
    [
        (None, None, Verdict.FAIL, "none"),
        (None, "another file", Verdict.OK, "prepared in "),
        ("there", "the same", Verdict.OK, "through its index in "),
        ("there", "another file", Verdict.WARN, "was made from another source"),
        ("there", None, Verdict.WARN, "seconds and gigabytes to load"),
    ],
)
def test_component_data_are_those_that_a_run_uses(own, prepared, verdict, found, tmp_path):
    file = tmp_path / "ccd.pickle"
    if own:
        file.write_bytes(b"components")
    data = None
    if prepared:
        other = tmp_path / "other"
        other.write_bytes(b"else")
        source = describe_file("engine pickle", file if prepared == "the same" else other)
        data = PreparedData(tmp_path, tmp_path / "i", tmp_path / "s", tmp_path / "l", source)
    check = software._component_data(data, file)
    assert check.verdict is verdict
    assert found in check.found


def test_inert_variables_are_named():
    environ = {"MKL_NUM_THREADS": "2", "KMP_AFFINITY": "x", "JAX_SKIP_SLOW_TESTS": "1", "HOME": "/"}
    checks = list(variables.check_inert(subject(environ=environ)))
    assert "KMP_AFFINITY, MKL_NUM_THREADS:" in only(checks, "inert variables").found
    assert "JAX_SKIP_SLOW_TESTS" in only(checks, "inert variables of JAX").found
    assert verdicts(variables.check_inert(subject())) == {"inert variables": Verdict.OK}


def test_contradicting_variables():
    environ = {
        "XLA_CLIENT_MEM_FRACTION": "0.9",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.8",
        "LD_LIBRARY_PATH": "/opt/cuda-11/lib64",
        "JAX_ENABLE_COMPILATION_CACHE": "false",
    }
    found = verdicts(variables.check_contradictions(subject(environ=environ, gpus=(V100,))))
    assert found == {
        "GPU memory fraction": Verdict.FAIL,
        "LD_LIBRARY_PATH": Verdict.WARN,
        "compile cache": Verdict.WARN,
    }


def test_variables_that_win_over_ours_are_shown():
    (nothing,) = variables.check_kept(subject(environ={}))
    assert nothing.found == "none overrides a setting of af3opt"
    (check,) = variables.check_kept(subject(environ={"PJRT_NPROC": "64"}))
    assert check.verdict is Verdict.WARN
    assert "PJRT_NPROC=64 kept" in check.found


def hmmer(folder, body):
    folder.mkdir(exist_ok=True)
    for program in ("jackhmmer", "nhmmer", "hmmalign", "hmmsearch", "hmmbuild"):
        path = folder / program
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return [f"--{program.name}_binary_path={program}" for program in folder.iterdir()]


@pytest.mark.parametrize(("patched", "verdict"), [(True, Verdict.OK), (False, Verdict.WARN)])
def test_hmmer_versions_and_the_limit(tmp_path, patched, verdict):
    refuse = "" if patched else "[ $# -lt 2 ] || exit 1; "
    flags = hmmer(tmp_path / "bin", f'{refuse}echo "# HMMER 3.4 (Aug 2023); http://hmmer.org/"')
    checks = list(searches.check_programs(subject(*flags)))
    assert only(checks, "nhmmer").found.startswith("HMMER 3.4 (")
    assert only(checks, "jackhmmer --seq_limit").verdict is verdict


@pytest.mark.parametrize(
    ("flags", "environ", "version", "verdict", "found"),
    [
        ((), {}, "3.4", Verdict.OK, "are scanned with"),
        (("--noexact_search",), {}, "3.4", Verdict.SKIP, "--noexact_search"),
        ((), {}, "3.9", Verdict.WARN, "HMMER 3.9 have not been compared"),
        ((), {"AF3OPT_SEARCH_ISA": "abacus"}, "3.4", Verdict.WARN, "AF3OPT_SEARCH_ISA=abacus"),
    ],
)
def test_exact_searches_are_told(tmp_path, monkeypatch, flags, environ, version, verdict, found):
    pytest.importorskip("pyhmmer")
    if isinstance(instruction_set({}), Aside):
        pytest.skip("no compiled part here")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    banner = f'echo "# jackhmmer :: search"; echo "# HMMER {version} (Aug 2023); http://hmmer.org/"'
    programs = hmmer(tmp_path / "bin", banner)
    check = only(searches.check_programs(subject(*programs, *flags)), "exact searches")
    assert check.verdict is verdict
    assert found in check.found


def test_something_else_called_hmmalign(tmp_path):
    flags = hmmer(tmp_path / "bin", "echo hello")
    assert set(verdicts(searches.check_programs(subject(*flags))).values()) == {Verdict.FAIL}
    gone = "--hmmalign_binary_path=/no/such/program"
    assert only(searches.check_programs(subject(gone)), "hmmalign").verdict is Verdict.FAIL


def test_nothing_is_searched_for_without_the_pipeline():
    examined = subject("--norun_data_pipeline")
    for probe in (searches.check_programs, searches.check_databases):
        assert set(verdicts(probe(examined)).values()) == {Verdict.SKIP}


@pytest.mark.engine
def test_databases_present_missing_and_sharded(tmp_path):
    complete = REPOSITORY / "tests" / "testdata" / "databases"
    checks = list(searches.check_databases(subject(f"--db_dir={complete}")))
    assert verdicts(checks)["uniref90"] is Verdict.OK
    assert Verdict.FAIL not in verdicts(checks).values()
    (check,) = searches.check_databases(subject(f"--db_dir={tmp_path}/none"))
    assert check.found == f"none of the 9 databases is in --db_dir={tmp_path}/none"

    for index in range(2):
        (tmp_path / f"small-0000{index}-of-00002").write_text(">a\nA\n")
    flags = [f"--db_dir={tmp_path}", f"--small_bfd_database_path={tmp_path}/small@2"]
    found = {check.name: check for check in searches.check_databases(subject(*flags))}
    assert found["uniref90"].verdict is Verdict.FAIL
    assert "small_bfd_z_value is not set" in found["small_bfd"].found
    found = {
        check.name: check
        for check in searches.check_databases(subject(*flags, "--small_bfd_z_value=2"))
    }
    assert found["small_bfd"].verdict is Verdict.OK
    assert "2 shards, Z 2" in found["small_bfd"].found


def test_a_home_that_others_can_write_to_fails(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o777)
    monkeypatch.setenv("AF3OPT_HOME", str(home))
    assert only(storage.check_home(subject()), "AF3OPT_HOME").verdict is Verdict.FAIL
    home.chmod(0o700)
    assert verdicts(storage.check_home(subject())) == {
        "AF3OPT_HOME": Verdict.OK,
        "clock": Verdict.OK,
    }
    assert list(home.iterdir()) == []


def test_a_file_server_with_another_time_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(storage.time, "time", lambda: 1e9)
    (check,) = storage._clock(tmp_path)
    assert check.verdict is Verdict.WARN


@pytest.mark.parametrize("links", [True, False])
def test_how_jobs_are_claimed_is_told(tmp_path, links):
    def link(source, target):
        if not links:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        target.hardlink_to(source)

    check = only(storage.check_claims(subject(f"--output_dir={tmp_path}/new"), link), "claims")
    assert check.verdict is Verdict.OK
    assert ("by hard links" in check.found) == links
    assert ("by exclusive creation" in check.found) != links
    assert list(tmp_path.iterdir()) == []
    assert only(storage.check_claims(subject()), "claims").verdict is Verdict.SKIP


def test_caches_are_counted_and_must_be_private(tmp_path):
    folder = tmp_path / "compiled"
    folder.mkdir(mode=0o700)
    (folder / "entry").write_bytes(bytes(3_000_000))
    flag = f"--jax_compilation_cache_dir={folder}"
    check = only(storage.check_caches(subject(flag)), "compile cache")
    assert (check.verdict, "1 files, 3.0 MB" in check.found) == (Verdict.OK, True)
    folder.chmod(0o777)
    check = only(storage.check_caches(subject(flag)), "compile cache")
    assert check.verdict is Verdict.FAIL
    assert "run code as you" in check.found


def test_little_free_disk_is_noticed(monkeypatch, tmp_path):
    nearly_full = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: nearly_full)
    checks = storage.check_free_disk(subject(f"--output_dir={tmp_path}/new/deeper"))
    assert verdicts(checks)["free disk, --output_dir"] is Verdict.WARN


def test_slurm_job_without_cores_or_time():
    job = BatchJob(
        scheduler="slurm", label="7", job_id="7", nodelist="n1", memory_bytes=8_000_000_000
    )
    assert verdicts(cluster.check_batch_job(subject(job=job))) == {
        "Slurm": Verdict.OK,
        "Slurm cores": Verdict.WARN,
        "Slurm time limit": Verdict.WARN,
    }
    good = dataclasses.replace(job, cpus_per_task=4, end_time=int(time.time()) + 3600)
    (check,) = cluster.check_batch_job(subject(job=good))
    assert "min left" in check.found
    assert verdicts(cluster.check_batch_job(subject())) == {"scheduler": Verdict.SKIP}
    bound = dataclasses.replace(good, cpus_per_task=8)
    check = only(cluster.check_batch_job(subject(job=bound)), "Slurm cores")
    assert check.found == "8 granted, but this process may use 4 (affinity 4)"


@pytest.mark.parametrize(
    ("scheduler", "title", "fix"),
    [
        ("pbs", "PBS", "#PBS -l select"),
        ("lsf", "LSF", "#BSUB -n"),
        ("sge", "Grid Engine", "#$ -pe"),
    ],
)
def test_jobs_of_other_schedulers_are_checked_too(monkeypatch, tmp_path, scheduler, title, fix):
    monkeypatch.setenv("PATH", str(tmp_path))  # Nobody to ask when it ends.
    job = BatchJob(scheduler=scheduler, label="7", job_id="7")
    checks = list(cluster.check_batch_job(subject(job=job)))
    assert verdicts(checks) == {
        title: Verdict.OK,
        f"{title} cores": Verdict.WARN,
        f"{title} time limit": Verdict.WARN,
    }
    assert any(fix in (check.fix or "") for check in checks)


def test_the_deepest_mount_counts(tmp_path):
    table = tmp_path / "mountinfo"
    here = tmp_path.resolve()
    spaced = here / "a b"
    spaced.mkdir()
    table.write_text(
        "1 0 0:1 / / rw - ext4 /dev/x rw\n"
        f"2 1 0:2 / {here} rw shared:1 - lustre server:/x rw\n"
        f"3 2 0:3 / {here}/a\\040b rw - tmpfs tmpfs rw\n"
        "broken\n"
    )
    assert file_system_of(here, table).is_network
    assert file_system_of(spaced, table).kind == "tmpfs"
    assert file_system_of(Path("/"), table).label == "ext4"
    assert file_system_of(here, tmp_path / "none").kind == "unknown"


def test_speed_is_measured_on_large_files_only(tmp_path):
    small = tmp_path / "small"
    small.write_bytes(b"x")
    assert read_speed(small) is None
    assert read_speed(tmp_path / "none") is None
    large = tmp_path / "large"
    large.write_bytes(bytes(8 << 20))
    speed = read_speed(large)
    assert speed is None or speed > 0  # tmpfs refuses direct reads


def test_a_check_that_breaks_or_hangs_is_reported():
    def check_broken(_):
        raise ValueError("odd machine")
        yield

    def check_hanging(_):
        time.sleep(5)
        yield

    groups = examination.run_checks({"All": (check_broken, check_hanging)}, subject(), 0.5)
    assert verdicts(groups["All"]) == {"broken": Verdict.FAIL, "hanging": Verdict.WARN}
    assert "odd machine" in groups["All"][0].found


def test_the_command_prints_text_and_json_and_tells_by_its_code(monkeypatch, capsys):
    bad = Check("engine", Verdict.FAIL, "none", "install it")
    good = Check("python", Verdict.OK, "3.12")
    for checks, code in (([good], 0), ([good, bad], 1)):
        monkeypatch.setattr(examination, "examine", lambda *_, c=checks: {"Software": c})
        assert cli.main(["doctor", "--norun_data_pipeline"]) == code
        assert "python: 3.12" in capsys.readouterr().out
        assert cli.main(["doctor", "--json"]) == code
        report = json.loads(capsys.readouterr().out)
        assert len(report["checks"]) == len(checks)
    assert report["verdict"] == "fail"
    assert report["checks"][1]["fix"] == "install it"


def test_flags_are_those_of_run(capsys):
    assert cli.main(["doctor", "--no_such_flag"]) == 2
    assert "no_such_flag" in capsys.readouterr().err
    assert cli.main(["doctor", "--help"]) == 0
