"""Seconds of a seed by what is published, between and beyond the published sizes."""

import itertools

import pytest

from af3opt.schedulers.estimates import published_seconds
from af3opt.settings.upstream import DEFAULT_BUCKETS


@pytest.mark.parametrize(
    ("tokens", "seconds"), [(1024, 62.0), (2048, 275.0), (3072, 703.0), (4096, 1434.0)]
)
def test_published_sizes_have_the_published_times(tokens, seconds):
    assert published_seconds(tokens) == pytest.approx(seconds)


def test_time_grows_with_every_padded_size():
    times = [published_seconds(bucket) for bucket in (*DEFAULT_BUCKETS, 6000)]
    assert all(shorter < longer for shorter, longer in itertools.pairwise(times))
    assert published_seconds(10_240) == pytest.approx(2547 * 2**2.57, rel=0.01)
