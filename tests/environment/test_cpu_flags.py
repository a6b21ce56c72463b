"""Shipped XLA flags: for which jaxlib, processor and fidelity, and what XLA makes of them."""

import dataclasses
import os
import subprocess
import sys

import pytest

from af3opt.environment import cpu_flags, known_flags
from af3opt.environment.cpu_flags import cpu_xla_flags
from af3opt.environment.known_flags import LEAN_SCHEDULE, LIGHT_CODEGEN, WIDE_VECTORS
from af3opt.environment.startup import plan_startup
from af3opt.host.host import probe_host
from af3opt.settings.settings import resolve_settings


def flags_of(*argv, vendor="AuthenticAMD", isa=("avx2", "avx512f")):
    host = probe_host(os.environ)
    cpu = dataclasses.replace(host.cpu, vendor=vendor, isa=frozenset(isa))
    settings = resolve_settings(["--json_path=input.json", *argv], {})
    return [flag for flag, _ in cpu_xla_flags(settings, dataclasses.replace(host, cpu=cpu))]


@pytest.fixture(params=sorted(known_flags._TRIED_JAXLIBS))
def tried_jaxlib(request, monkeypatch):
    monkeypatch.setattr(cpu_flags, "installed_version", lambda _name: request.param)
    return request.param


@pytest.mark.usefixtures("tried_jaxlib")
class TestTriedJaxlibs:
    def test_all_where_all_were_measured(self, tried_jaxlib):
        light = [LIGHT_CODEGEN.flag] if tried_jaxlib == "0.12.0.1" else []
        assert flags_of() == [LEAN_SCHEDULE.flag, WIDE_VECTORS.flag, *light]

    def test_reordering_flags_on_processors_they_were_measured_on(self):
        assert flags_of(vendor="GenuineIntel") == [LEAN_SCHEDULE.flag]
        assert WIDE_VECTORS.flag not in flags_of(isa=["avx2"])

    def test_exact_runs_get_exact_flags(self):
        assert flags_of("--fidelity=exact") == [LEAN_SCHEDULE.flag]

    def test_an_exported_flag_wins(self, monkeypatch):
        theirs = LEAN_SCHEDULE.flag.replace("false", "true")
        monkeypatch.setenv("XLA_FLAGS", theirs)
        startup = plan_startup(resolve_settings(["--jax_backend=cpu"], {}))
        value = next(one.value for one in startup.variables if one.name == "XLA_FLAGS")
        assert theirs in value
        assert LEAN_SCHEDULE.flag not in value


def test_no_flag_for_a_jaxlib_that_might_not_know_it(monkeypatch):
    monkeypatch.setattr(cpu_flags, "installed_version", lambda _name: "99.0")
    assert flags_of() == []


@pytest.mark.engine
def test_the_installed_jaxlib_knows_them():
    """XLA would end the process."""
    assert cpu_flags.installed_version("jaxlib") in known_flags._TRIED_JAXLIBS
    code = "import jax; print(jax.numpy.arange(3).sum())"
    flags = f"{LEAN_SCHEDULE.flag} {WIDE_VECTORS.flag} {LIGHT_CODEGEN.flag}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr


@pytest.mark.engine
def test_the_lean_schedule_changes_no_bit(tmp_path):
    """A program with branches that XLA could run at once."""
    code = """
import sys
import jax
import jax.numpy as jnp
def branch(x):
    return jax.nn.softmax(jnp.tanh(x @ x), axis=-1) @ x
def body(x, _):
    return x + sum(branch(x * scale) for scale in (0.1, 0.2, 0.3, 0.4)), None
x = jax.random.normal(jax.random.PRNGKey(0), (96, 96))
compiled = jax.jit(lambda x: jax.lax.scan(body, x, None, length=3)[0]).lower(x).compile()
sys.stdout.write(jax.device_get(compiled(x)).tobytes().hex())
"""
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "XLA_FLAGS": flag, "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for flag in ("", LEAN_SCHEDULE.flag)
    ]
    assert found[0]
    assert found[0] == found[1]
