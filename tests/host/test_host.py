"""Host probes against fake file trees and a fake nvidia-smi; the probes themselves are real."""

import os
import stat

import pytest

from af3opt.host.cgroups import CgroupLimits, read_cgroup_limits
from af3opt.host.gpus import probe_gpus
from af3opt.host.host import (
    probe_cpu,
    probe_host,
    probe_memory,
    probe_numa_nodes,
)
from af3opt.host.queues.every import find_own_job

GIB = 1 << 30
NO_LIMITS = CgroupLimits(None, None)

TWO_GPUS = """\
0, GPU-aaaa1111-0000, NVIDIA A100-SXM4-80GB, 8.0, 81920, 550.54.15
1, GPU-bbbb2222-0000, NVIDIA H100 80GB HBM3, 9.0, 81559, 550.54.15
"""
MIG_LIST = """\
GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-aaaa1111-0000)
  MIG 3g.40gb     Device  0: (UUID: MIG-cccc3333-0000)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb2222-0000)
"""


def write_tree(root, files):
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return root


@pytest.fixture
def fake_nvidia_smi(tmp_path):
    """Returns a function that puts an nvidia-smi on a PATH and gives the environment."""

    def install(query=TWO_GPUS, listing=MIG_LIST, exit_code=0):
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "query").write_text(query)
        (folder / "listing").write_text(listing)
        script = folder / "nvidia-smi"
        script.write_text(
            "#!/bin/sh\n"
            f'case "$1" in -L) file={folder}/listing;; *) file={folder}/query;; esac\n'
            f'while IFS= read -r line; do echo "$line"; done < "$file"\nexit {exit_code}\n'
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return {"PATH": str(folder)}

    return install


class TestGpus:
    def test_all_visible(self, fake_nvidia_smi):
        first, second = probe_gpus(fake_nvidia_smi()).gpus
        assert (first.name, first.compute_capability) == ("NVIDIA A100-SXM4-80GB", 8.0)
        assert (second.index, second.memory_mib) == (1, 81559)
        assert second.memory_bytes == 81559 * 1024**2
        assert first.driver_version == "550.54.15"

    @pytest.mark.parametrize(
        ("visible", "uuids"),
        [
            ("1", ["GPU-bbbb2222-0000"]),
            ("1,0", ["GPU-bbbb2222-0000", "GPU-aaaa1111-0000"]),
            ("GPU-bbbb", ["GPU-bbbb2222-0000"]),
            (" 0 , GPU-bbbb2222-0000", ["GPU-aaaa1111-0000", "GPU-bbbb2222-0000"]),
            ("0,-1,1", ["GPU-aaaa1111-0000"]),
            ("MIG-cccc3333-0000", ["MIG-cccc3333-0000"]),
        ],
    )
    def test_cuda_visible_devices(self, fake_nvidia_smi, visible, uuids):
        probe = probe_gpus({**fake_nvidia_smi(), "CUDA_VISIBLE_DEVICES": visible})
        assert [gpu.uuid for gpu in probe.gpus] == uuids
        assert probe.problem is None

    def test_mig_slice_has_its_own_memory(self, fake_nvidia_smi):
        environ = {**fake_nvidia_smi(), "CUDA_VISIBLE_DEVICES": "MIG-cccc3333-0000"}
        (gpu,) = probe_gpus(environ).gpus
        assert (gpu.memory_mib, gpu.compute_capability) == (40 * 1024, 8.0)

    @pytest.mark.parametrize("visible", ["", "-1", "NoDevFiles", "7", "GPU-none"])
    def test_hidden(self, fake_nvidia_smi, visible):
        probe = probe_gpus({**fake_nvidia_smi(), "CUDA_VISIBLE_DEVICES": visible})
        assert probe.gpus == ()
        assert "CUDA_VISIBLE_DEVICES" in probe.problem

    def test_missing_tool(self, tmp_path):
        assert probe_gpus({"PATH": str(tmp_path)}).problem == "nvidia-smi is not on PATH"

    def test_failing_tool(self, fake_nvidia_smi):
        environ = fake_nvidia_smi(query="NVIDIA-SMI has failed\n", exit_code=9)
        probe = probe_gpus(environ)
        assert probe.problem == "nvidia-smi failed (exit 9): NVIDIA-SMI has failed"

    def test_unexpected_output(self, fake_nvidia_smi):
        assert "unexpected line" in probe_gpus(fake_nvidia_smi(query="hello\n")).problem

    def test_no_gpu_listed(self, fake_nvidia_smi):
        assert probe_gpus(fake_nvidia_smi(query="")).problem == "nvidia-smi lists no GPU"

    def test_memory_not_available(self, fake_nvidia_smi):
        query = "0, GPU-a, NVIDIA GB10, 12.1, [N/A], 580.1\n"
        assert probe_gpus(fake_nvidia_smi(query=query)).gpus[0].memory_mib == 0


class TestCgroups:
    def test_v2_tightest_ancestor_counts(self, tmp_path):
        write_tree(
            tmp_path,
            {
                "proc/self/cgroup": "0::/slurm/job/step\n",
                "sys/fs/cgroup/slurm/cpu.max": "max 100000\n",
                "sys/fs/cgroup/slurm/job/cpu.max": "250000 100000\n",
                "sys/fs/cgroup/slurm/job/step/cpu.max": "400000 100000\n",
                "sys/fs/cgroup/slurm/memory.max": f"{8 * GIB}\n",
                "sys/fs/cgroup/slurm/job/step/memory.max": "max\n",
            },
        )
        assert read_cgroup_limits(tmp_path) == CgroupLimits(2.5, 8 * GIB)

    def test_v1(self, tmp_path):
        write_tree(
            tmp_path,
            {
                "proc/self/cgroup": "4:memory:/job\n3:cpu,cpuacct:/job\n",
                "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{GIB}\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "150000\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            },
        )
        assert read_cgroup_limits(tmp_path) == CgroupLimits(1.5, GIB)

    def test_container_sees_only_its_own_root(self, tmp_path):
        write_tree(
            tmp_path,
            {"proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"},
        )
        assert read_cgroup_limits(tmp_path).cpus == 1.0

    @pytest.mark.parametrize("text", ["", "garbage", "0::", ":::\n1:cpu:/x"])
    def test_odd_files_mean_no_limit(self, tmp_path, text):
        write_tree(tmp_path, {"proc/self/cgroup": text, "sys/fs/cgroup/cpu.max": "x y z"})
        assert read_cgroup_limits(tmp_path) == NO_LIMITS

    def test_nothing_mounted(self, tmp_path):
        assert read_cgroup_limits(tmp_path) == NO_LIMITS


class TestCpuAndMemory:
    def test_cores_are_the_tightest_bound(self, monkeypatch):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
        slurm = find_own_job({"SLURM_JOB_ID": "1", "SLURM_CPUS_PER_TASK": "8"})
        cpu = probe_cpu(slurm, CgroupLimits(16.0, None))
        assert cpu.usable_cores == 8
        assert cpu.limits == "affinity 64, cgroup quota 16, SLURM_CPUS_PER_TASK 8"

    def test_a_fraction_of_a_core_is_one(self):
        assert probe_cpu(None, CgroupLimits(0.2, None)).usable_cores == 1

    def test_cpuinfo(self, tmp_path):
        text = "vendor_id\t: GenuineIntel\nmodel name\t: Xeon: fast\nflags\t\t: avx2 amx_bf16\n\n"
        cpu = probe_cpu(
            None, NO_LIMITS, write_tree(tmp_path, {"proc/cpuinfo": text + "vendor_id: B"})
        )
        assert (cpu.vendor, cpu.model) == ("GenuineIntel", "Xeon: fast")
        assert cpu.isa == {"avx2", "amx_bf16"}

    def test_a_name_without_a_number_gets_the_generation(self, tmp_path):
        def named(name):
            text = f"cpu family\t: 25\nmodel\t\t: 17\nmodel name\t: {name}\n"
            return probe_cpu(None, NO_LIMITS, write_tree(tmp_path, {"proc/cpuinfo": text})).model

        assert named("AMD EPYC") == "AMD EPYC (family 25, model 17)"
        assert named("AMD EPYC 9654") == "AMD EPYC 9654"

    def test_arm_lists_features(self, tmp_path):
        text = "processor\t: 0\nFeatures\t: asimd sve\n"
        cpu = probe_cpu(None, NO_LIMITS, write_tree(tmp_path, {"proc/cpuinfo": text}))
        assert (cpu.model, cpu.isa) == ("unknown", {"asimd", "sve"})

    def test_memory_limits(self, tmp_path):
        write_tree(tmp_path, {"proc/meminfo": "MemTotal:       8388608 kB\n"})
        assert probe_memory(None, NO_LIMITS, tmp_path).source == "physical memory"
        assert probe_memory(None, NO_LIMITS, tmp_path).limit_bytes == 8 * GIB
        assert probe_memory(None, CgroupLimits(None, GIB), tmp_path).source == "cgroup"
        slurm = find_own_job({"SLURM_JOB_ID": "1", "SLURM_MEM_PER_NODE": "512"})
        memory = probe_memory(slurm, CgroupLimits(None, GIB), tmp_path)
        assert (memory.limit_bytes, memory.source) == (GIB // 2, "Slurm")

    def test_memory_unknown(self, tmp_path):
        assert probe_memory(None, NO_LIMITS, tmp_path).limit_bytes is None

    def test_numa_nodes(self, tmp_path):
        write_tree(
            tmp_path,
            {
                "sys/devices/system/node/node1/cpulist": "2-3\n",
                "sys/devices/system/node/node0/cpulist": "0-1,8\n",
            },
        )
        nodes = probe_numa_nodes(tmp_path)
        assert [node.index for node in nodes] == [0, 1]
        assert nodes[0].cpus == {0, 1, 8}
        assert probe_numa_nodes(tmp_path / "none") == ()


class TestSlurm:
    def test_outside(self):
        assert find_own_job({"SLURM_CPUS_PER_TASK": "4"}) is None

    def test_array_job(self):
        job = find_own_job(
            {
                "SLURM_JOB_ID": "12",
                "SLURM_ARRAY_JOB_ID": "10",
                "SLURM_ARRAY_TASK_ID": "0",
                "SLURM_JOB_NODELIST": "n[1-2]",
                "SLURM_MEM_PER_CPU": "1024",
                "SLURM_CPUS_ON_NODE": "4",
                "SLURM_JOB_END_TIME": "1700000000",
            }
        )
        assert (job.job_id, job.array_job_id, job.array_task_id) == ("12", "10", 0)
        assert (job.nodelist, job.end_time) == ("n[1-2]", 1_700_000_000)
        assert job.memory_bytes == 4 * GIB
        assert job.cpus_per_task is None

    def test_odd_values_are_unknown(self):
        job = find_own_job(
            {"SLURM_JOB_ID": "1", "SLURM_CPUS_PER_TASK": "x", "SLURM_MEM_PER_NODE": "0"}
        )
        assert job.cpus_per_task is None
        assert job.memory_bytes is None


def test_whole_probe_on_an_empty_machine(tmp_path):
    host = probe_host({"PATH": str(tmp_path)}, tmp_path)
    assert host.cpu.usable_cores >= 1
    assert host.gpus == ()
    assert host.job is None
    assert host.jax_platforms is None


def test_whole_probe_on_this_machine():
    host = probe_host(dict(os.environ))
    assert 1 <= host.cpu.usable_cores <= (os.cpu_count() or 1)
    assert host.memory.limit_bytes > 0
