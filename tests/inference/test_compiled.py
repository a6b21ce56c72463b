"""What is said when compiling fails."""

import pytest

from af3opt.inference.compiled import kernel_problem

TOO_LARGE = RuntimeError(
    "RESOURCE_EXHAUSTED: Shared memory size limit exceeded: "
    "requested 139264, available: 101376\nmore"
)


@pytest.mark.parametrize(
    ("optimizations", "remedy"),
    [
        (("msa_depth", "fused_pair_kernels"), "--disable_optimizations=fused_pair_kernels"),
        (("msa_depth",), "--flash_attention_implementation=xla"),
    ],
)
def test_kernel_that_does_not_fit_the_gpu(optimizations, remedy):
    problem = kernel_problem(TOO_LARGE, optimizations)
    assert problem.endswith(remedy)
    assert "requested 139264, available: 101376)" in problem
    assert "\n" not in problem


def test_lack_of_the_devices_memory_is_another_matter():
    error = RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.")
    assert kernel_problem(error, ("fused_pair_kernels",)) is None
