"""Made-up machines for the tests of `af3opt doctor`."""

import concurrent.futures

from af3opt.doctor.check import Subject
from af3opt.host.gpus import Gpu
from af3opt.host.host import Cpu, Host, Memory
from af3opt.settings.settings import resolve_settings

V100 = Gpu(0, "GPU-1", "Tesla V100", 7.0, 32510, "470.82.01")
CPU = Cpu("Some CPU", "GenuineIntel", frozenset({"sse2", "avx2"}), 4, "affinity 4")


def make_host(**changes):
    facts = {
        "name": "node",
        "cpu": CPU,
        "memory": Memory(64_000_000_000, "cgroup"),
        "numa_nodes": (),
        "gpus": (),
        "gpu_problem": "nvidia-smi is not on PATH",
        "jax_plugins": (),
        "jax_platforms": None,
        "job": None,
    }
    return Host(**{**facts, **changes})


def subject(*flags, environ=None, **host):
    probe = concurrent.futures.Future()
    probe.set_result(make_host(**host))
    return Subject(resolve_settings(list(flags), {}), environ or {}, probe)


def verdicts(checks):
    return {check.name: check.verdict for check in checks}


def only(checks, name):
    return next(check for check in checks if check.name == name)
