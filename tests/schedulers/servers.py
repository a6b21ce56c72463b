"""Real schedulers of one node on this machine, for tests."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_NEEDED = {
    "slurm": ("slurmctld", "slurmd", "sbatch", "munged"),
    "sge": ("sge_qmaster", "sge_execd", "qsub", "qconf"),
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running scheduler: `name`, and the `variables` that its clients need."""

    def __init__(self, name, directory):
        self.name = name
        self.directory = directory
        self._environment = {**os.environ, f"AF3_TEST_{name.upper()}_PORT": str(free_port())}

    def start(self):
        self._call("start")
        if self.name == "slurm":
            self.variables = {"SLURM_CONF": str(self.directory / "slurm.conf")}
        else:
            lines = (self.directory / "environment").read_text().splitlines()
            self.variables = dict(line.split("=", 1) for line in lines)

    def stop(self):
        self._call("stop")

    def _call(self, action):
        script = HERE / f"{self.name}_cluster.sh"
        subprocess.run(
            [script, action, self.directory], env=self._environment, check=True, timeout=60
        )


def start_or_skip(name, directory):
    """Starts a scheduler, or skips the test where it cannot be started."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [program for program in _NEEDED[name] if not shutil.which(program, path=path)]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(missing) or name}")
    server = Server(name, directory)
    server.start()
    return server
