"""The environment for JAX: backend choice, variables, merging with what the user exported."""

import subprocess
import sys

import pytest

from af3opt.base.errors import SetupError, UsageError
from af3opt.environment.backend import resolve_backend
from af3opt.environment.environment import (
    apply_environment,
    environment_notes,
    format_exports,
    plan_environment,
)
from af3opt.environment.xla_flags import merge_xla_flags
from af3opt.host.gpus import Gpu
from af3opt.host.host import Cpu, Host, Memory
from af3opt.settings.settings import resolve_settings

VOLTA_FLAG = "--xla_disable_hlo_passes=custom-kernel-fusion-rewriter"
TRITON_FLAG = "--xla_gpu_enable_triton_gemm=false"


def make_host(*capabilities, plugins=("xla_cuda12",), jax_platforms=None, problem=None):
    gpus = tuple(
        Gpu(index, f"GPU-{index}", f"Card {index}", capability, 81920, "550.1")
        for index, capability in enumerate(capabilities)
    )
    return Host(
        name="node1",
        cpu=Cpu("model", "vendor", frozenset({"avx2"}), 6, "affinity 6"),
        memory=Memory(1 << 34, "physical memory"),
        numa_nodes=(),
        gpus=gpus,
        gpu_problem=problem,
        jax_plugins=plugins,
        jax_platforms=jax_platforms,
        job=None,
    )


def settings_of(*argv):
    return resolve_settings(argv, {})


def plan(*argv, host=None, environ=None, **kwargs):
    variables = plan_environment(settings_of(*argv), host or make_host(), environ or {}, **kwargs)
    return {variable.name: variable for variable in variables}


class TestBackend:
    def test_gpu_is_taken_when_usable_and_said(self):
        backend = resolve_backend(settings_of(), make_host(8.0))
        assert (backend.name, backend.flash_attention) == ("gpu", "triton")
        assert "Card 0" in backend.message

    def test_cpu_otherwise_and_the_reason_is_said(self):
        backend = resolve_backend(settings_of(), make_host(problem="nvidia-smi is not on PATH"))
        assert (backend.name, backend.flash_attention) == ("cpu", "xla")
        assert "nvidia-smi is not on PATH" in backend.message

    def test_cpu_only_jax_beside_a_gpu(self):
        backend = resolve_backend(settings_of(), make_host(8.0, plugins=()))
        assert backend.name == "cpu"
        assert "pip install 'jax[cuda12]' 'nvidia-ml-py>=12'" in backend.message

    def test_exported_jax_platforms_count(self):
        host = make_host(8.0, jax_platforms="cpu")
        assert resolve_backend(settings_of(), host).name == "cpu"
        with pytest.raises(SetupError, match="JAX_PLATFORMS=cpu"):
            resolve_backend(settings_of("--jax_backend=gpu"), host)

    def test_exported_jax_platforms_must_allow_the_cpu(self):
        host = make_host(problem="no driver", jax_platforms="cuda")
        with pytest.raises(SetupError, match="JAX_PLATFORMS=cuda excludes it"):
            resolve_backend(settings_of(), host)

    def test_explicit_gpu_never_falls_back(self):
        with pytest.raises(SetupError, match=r"--jax_backend=gpu \(flag\): no driver"):
            resolve_backend(settings_of("--jax_backend=gpu"), make_host(problem="no driver"))

    def test_explicit_gpu_is_not_needed_without_inference(self):
        settings = settings_of("--jax_backend=gpu", "--norun_inference")
        assert resolve_backend(settings, make_host(problem="none")).name == "cpu"

    def test_explicit_cpu_beside_a_gpu(self):
        assert resolve_backend(settings_of("--jax_backend=cpu"), make_host(9.0)).name == "cpu"

    def test_mps_needs_its_plugin(self):
        settings = settings_of("--jax_backend=mps")
        with pytest.raises(SetupError, match="no mps plugin"):
            resolve_backend(settings, make_host())
        assert resolve_backend(settings, make_host(plugins=("mps",))).name == "mps"

    def test_gpu_device(self):
        backend = resolve_backend(settings_of("--gpu_device=1"), make_host(8.0, 9.0))
        assert backend.gpu.compute_capability == 9.0
        with pytest.raises(UsageError, match="--gpu_device=2: only 2 GPU"):
            resolve_backend(settings_of("--gpu_device=2"), make_host(8.0, 9.0))

    def test_old_gpu_is_refused(self):
        with pytest.raises(SetupError, match=r"compute capability 5.2.*at least 6.0"):
            resolve_backend(settings_of(), make_host(5.2))

    @pytest.mark.parametrize(
        ("capability", "attention"),
        [(6.0, "xla"), (7.0, "xla"), (7.5, "xla"), (8.0, "triton"), (8.6, "xla"), (8.9, "xla"),
         (9.0, "triton"), (10.0, "triton"), (12.0, "xla")],
    )  # fmt: skip
    def test_attention_by_capability(self, capability, attention):
        assert resolve_backend(settings_of(), make_host(capability)).flash_attention == attention

    def test_explicit_attention_is_obeyed_or_refused(self):
        cudnn = settings_of("--flash_attention_implementation=cudnn")
        assert resolve_backend(cudnn, make_host(8.6)).flash_attention == "cudnn"
        with pytest.raises(UsageError, match=r"cudnn needs compute capability 8.0"):
            resolve_backend(cudnn, make_host(7.0))
        with pytest.raises(UsageError, match="cudnn needs a GPU"):
            resolve_backend(cudnn, make_host())


class TestVariables:
    def test_cpu(self):
        variables = plan("--jax_backend=cpu")
        assert variables["JAX_PLATFORMS"].value == "cpu"
        assert variables["PJRT_NPROC"].value == "6"
        assert variables["TF_CPP_MIN_LOG_LEVEL"].value == "2"
        assert not {name for name in variables if "MEM" in name or name == "XLA_FLAGS"}
        assert all(variable.reason for variable in variables.values())

    def test_num_threads(self):
        assert plan("--num_threads=3")["PJRT_NPROC"].value == "3"

    def test_debug_shows_xla_messages(self):
        assert plan("--debug")["TF_CPP_MIN_LOG_LEVEL"].value == "0"

    def test_gpu(self):
        variables = plan(host=make_host(8.0))
        assert variables["JAX_PLATFORMS"].value == "cuda,cpu"
        assert variables["XLA_PYTHON_CLIENT_PREALLOCATE"].value == "true"
        # Else CUDA numbers the fastest GPU first, and nvidia-smi's list tells of another.
        assert variables["CUDA_DEVICE_ORDER"].value == "PCI_BUS_ID"
        assert variables["XLA_CLIENT_MEM_FRACTION"].value == "0.95"
        assert variables["XLA_FLAGS"].value == TRITON_FLAG
        assert "PJRT_NPROC" not in variables

    def test_unified_memory(self):
        variables = plan("--unified_memory", host=make_host(8.0))
        assert variables["XLA_PYTHON_CLIENT_PREALLOCATE"].value == "false"
        assert variables["TF_FORCE_UNIFIED_MEMORY"].value == "true"
        assert variables["XLA_CLIENT_MEM_FRACTION"].value == "3.2"

    def test_volta(self):
        assert plan(host=make_host(7.0))["XLA_FLAGS"].value == VOLTA_FLAG

    def test_exported_value_wins_and_is_noted(self):
        environ = {"XLA_CLIENT_MEM_FRACTION": "0.5", "XLA_PYTHON_CLIENT_PREALLOCATE": "true"}
        variables = plan(host=make_host(8.0), environ=environ)
        assert variables["XLA_CLIENT_MEM_FRACTION"].value == "0.5"
        assert environment_notes(variables.values()) == (
            "XLA_CLIENT_MEM_FRACTION=0.5 kept (af3opt: 0.95)",
        )

    def test_older_name_of_the_fraction_is_not_doubled(self):
        variables = plan(host=make_host(8.0), environ={"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.5"})
        assert "XLA_CLIENT_MEM_FRACTION" not in variables
        assert variables["XLA_PYTHON_CLIENT_MEM_FRACTION"].value == "0.5"

    def test_preset_table_ranks_between_user_and_af3opt(self, tmp_path):
        preset = tmp_path / "p.toml"
        preset.write_text('[environment]\nPJRT_NPROC = "1"\nTF_CPP_MIN_LOG_LEVEL = "1"\n')
        variables = plan(f"--config={preset}", environ={"PJRT_NPROC": "4"})
        assert variables["PJRT_NPROC"].value == "4"
        assert variables["TF_CPP_MIN_LOG_LEVEL"].value == "1"
        assert variables["TF_CPP_MIN_LOG_LEVEL"].origin == f"preset {preset}"

    def test_mkl_variables_only_with_the_mkl_preset(self):
        assert not {name for name in plan() if name.startswith(("MKL", "KMP"))}
        assert plan("--config=cpu-mkl")["MKL_DEBUG_CPU_TYPE"].value == "5"

    def test_extra_flags_with_reasons(self):
        variables = plan(extra_xla_flags=[("--xla_cpu_x=1", "tuned on this host")])
        assert variables["XLA_FLAGS"].value == "--xla_cpu_x=1"
        assert "tuned on this host" in variables["XLA_FLAGS"].reason

    def test_extra_flags_yield_to_preset_and_preset_to_user(self, tmp_path):
        preset = tmp_path / "p.toml"
        preset.write_text('[environment]\nXLA_FLAGS = "--xla_a=preset --xla_b=preset"\n')
        merged = plan(
            f"--config={preset}",
            environ={"XLA_FLAGS": "--xla_a=user"},
            extra_xla_flags=[("--xla_b=ours", "w"), ("--xla_c=ours", "w")],
        )["XLA_FLAGS"]
        assert set(merged.value.split()) == {"--xla_a=user", "--xla_b=preset", "--xla_c=ours"}
        assert "kept --xla_a=user" in merged.note
        assert "kept --xla_b=preset" in merged.note

    def test_planning_changes_nothing_and_applying_does(self):
        environ = {"XLA_FLAGS": "--xla_a=1"}
        variables = plan_environment(settings_of(), make_host(8.0), environ)
        assert environ == {"XLA_FLAGS": "--xla_a=1"}
        apply_environment(variables, environ)
        assert environ["XLA_FLAGS"] == f"--xla_a=1 {TRITON_FLAG}"
        again = plan_environment(settings_of(), make_host(8.0), environ)
        assert not environment_notes(again)


class TestMergeXlaFlags:
    def test_user_value_wins(self):
        merged = merge_xla_flags(f"--xla_b=2 {TRITON_FLAG.replace('false', 'true')}", [TRITON_FLAG])
        assert merged.text == "--xla_b=2 --xla_gpu_enable_triton_gemm=true"
        assert merged.added == ()
        assert merged.kept

    def test_list_flags_are_united_ours_first(self):
        merged = merge_xla_flags("--xla_disable_hlo_passes=dce", [VOLTA_FLAG])
        assert merged.text == f"{VOLTA_FLAG},dce"
        assert merge_xla_flags(merged.text, [VOLTA_FLAG]).text == merged.text

    def test_flag_without_value(self):
        assert merge_xla_flags("--xla_x", ["--xla_y"]).text == "--xla_x --xla_y"

    def test_empty_value_is_kept(self):
        assert merge_xla_flags("", ["--xla_x="]).text == "--xla_x="

    def test_file_of_flags_is_left_alone(self):
        merged = merge_xla_flags("/etc/xla.flags", [TRITON_FLAG])
        assert merged.text == "/etc/xla.flags"
        assert TRITON_FLAG in merged.kept[0]


def test_exports_survive_a_shell(tmp_path):
    preset = tmp_path / "p.toml"
    preset.write_text('[environment]\nODD = "it\'s $HOME; `x`"\n')
    variables = plan_environment(settings_of(f"--config={preset}"), make_host(), {})
    script = format_exports(variables) + 'printf "%s" "$ODD"'
    shown = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=True)
    assert shown.stdout == "it's $HOME; `x`"


@pytest.mark.engine
def test_jax_obeys_the_thread_count_and_accepts_the_xla_flags():
    code = (
        "import jax, jax.numpy as jnp, os\n"
        "jax.jit(lambda x: x @ x)(jnp.ones((8, 8))).block_until_ready()\n"
        "print(jax.default_backend(), len(os.listdir('/proc/self/task')))\n"
    )
    threads = []
    for count in (1, 9):
        environ = {}
        apply_environment(
            plan_environment(
                settings_of("--jax_backend=cpu", f"--num_threads={count}"),
                make_host(),
                environ,
                extra_xla_flags=[(TRITON_FLAG, "known to this jaxlib"), (VOLTA_FLAG, "too")],
            ),
            environ,
        )
        shown = subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
        )
        backend, total = shown.stdout.split()
        assert backend == "cpu"
        threads.append(int(total))
    assert threads[1] - threads[0] >= 8
