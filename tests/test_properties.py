"""Properties that hold for any value: parsers, keys, names, shards, figures."""

import json
import string
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from af3opt.base.key import CacheKey
from af3opt.base.padding import padded_size
from af3opt.benchmarks.stages import STAGES, TimedLine, split_stages
from af3opt.environment.xla_flags import merge_xla_flags
from af3opt.execution.planning.plan import read_jobs, take_shard
from af3opt.inputs.names import sanitised_name
from af3opt.settings.catalogue import all_options

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)
MATERIAL = st.dictionaries(st.text(), st.integers() | st.text() | st.booleans(), max_size=6)
FLAGS = st.lists(
    st.builds(
        "--xla_{}={}".format,
        st.text(string.ascii_lowercase, min_size=1, max_size=3),
        st.sampled_from(["true", "false", "1"]),
    ),
    max_size=6,
)


@given(MATERIAL)
def test_a_cache_key_does_not_depend_on_the_order_of_its_material(material):
    backwards = dict(reversed(material.items()))
    assert CacheKey.of(material).digest == CacheKey.of(backwards).digest


@given(MATERIAL, MATERIAL)
def test_equal_cache_keys_mean_equal_material(left, right):
    same = json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
    assert (CacheKey.of(left).digest == CacheKey.of(right).digest) is same


@given(st.text())
def test_a_job_name_makes_one_plain_file_name(name):
    once = sanitised_name(name)
    assert sanitised_name(once) == once
    assert "/" not in once
    assert "\0" not in once


@given(JSON_VALUES)
def test_planning_takes_any_json(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.json")
        path.write_text(json.dumps(content))
        jobs = read_jobs(path)
    assert jobs
    assert all(job.tokens >= 0 for job in jobs)


@given(st.lists(st.integers(), max_size=40), st.integers(1, 9))
def test_shards_share_out_everything_once(items, count):
    shards = [list(take_shard(items, index, count)) for index in range(count)]
    assert sorted(item for shard in shards for item in shard) == sorted(items)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@given(st.integers(0, 6000), st.sets(st.integers(1, 6000), min_size=1, max_size=8))
def test_padding_takes_the_smallest_bucket_that_fits(tokens, sizes):
    buckets = sorted(sizes)
    padded = padded_size(tokens, buckets)
    assert padded >= tokens
    assert padded in buckets or padded == tokens > buckets[-1]
    assert not any(tokens <= bucket < padded for bucket in buckets)


@given(FLAGS, FLAGS)
def test_merging_xla_flags_keeps_the_users(existing, wanted):
    merged = merge_xla_flags(" ".join(existing), wanted)
    words = merged.text.split()
    names = [word.partition("=")[0] for word in words]
    assert len(names) == len(set(names))
    last = {flag.partition("=")[0]: flag for flag in existing}
    assert set(last.values()) <= set(words)
    assert merge_xla_flags(merged.text, wanted).text == merged.text


@given(st.lists(st.tuples(st.floats(0, 1e4), st.text()), max_size=8), st.floats(0, 1e4))
def test_stages_of_any_output_are_known_and_not_negative(lines, wall):
    phrase = "Running model inference with seed 1..."
    timed = [TimedLine(seconds, text) for seconds, text in [*lines, (1.0, phrase)]]
    stages = split_stages(timed, wall)
    assert set(stages) <= set(STAGES)
    assert all(seconds >= 0 for seconds in stages.values())


@given(st.data())
def test_every_option_reads_back_what_it_shows(data):
    option = data.draw(st.sampled_from(list(all_options().values())))
    value = option.default()
    if value is not None and option.spec.default_text is None and option.to_text(value):
        assert option.from_text(option.to_text(value)) == value
