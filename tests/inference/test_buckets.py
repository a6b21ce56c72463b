"""Padded sizes: upstream's unless a CPU and --fidelity=fast allow finer ones."""

import itertools

import pytest

from af3opt.inference.buckets import choose_buckets
from af3opt.settings.settings import resolve_settings
from af3opt.settings.upstream import DEFAULT_BUCKETS


def _buckets(backend, *flags):
    return choose_buckets(resolve_settings(list(flags), {}), backend)


def test_a_cpu_pads_little():
    buckets = _buckets("cpu")
    assert all(left < right for left, right in itertools.pairwise(buckets))
    assert buckets[-1] == DEFAULT_BUCKETS[-1]
    for tokens in range(49, 5121):
        padded = next(bucket for bucket in buckets if tokens <= bucket)
        assert (padded - tokens) / tokens < 1 / 16
    assert next(bucket for bucket in buckets if bucket >= 76) == 76
    assert len(buckets) == 117


@pytest.mark.parametrize("backend", ["gpu", "mps"])
def test_accelerators_keep_upstreams_list(backend):
    assert _buckets(backend) == DEFAULT_BUCKETS


@pytest.mark.parametrize("fidelity", ["exact", "reordered"])
def test_other_draws_need_the_fast_class(fidelity):
    assert _buckets("cpu", f"--fidelity={fidelity}") == DEFAULT_BUCKETS


@pytest.mark.parametrize("fidelity", ["exact", "reordered", "fast"])
def test_given_buckets_are_obeyed(fidelity):
    assert _buckets("cpu", "--buckets=100,200", f"--fidelity={fidelity}") == (100, 200)
