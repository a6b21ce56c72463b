import contextlib
import dataclasses
import io
import json
import logging
import re
import threading

import pytest
from rich.console import Console

from af3opt.base.logs import Verbosity, configure_logging
from af3opt.host.host import Memory
from af3opt.memory import MemoryManager
from af3opt.progress import LearnedTimes, Reporter, Workload, open_display
from af3opt.progress.display import NoDisplay
from af3opt.progress.growth import model_work
from af3opt.progress.stages import DATA_PIPELINE, EXTRACT, FEATURISE, INFERENCE, STAGES

WORKLOAD = Workload(device="cpu", tokens=128, samples=5, recycles=10, steps=200)


@pytest.fixture
def reporter(tmp_path):
    return Reporter(learned=LearnedTimes(tmp_path / "times.json"))


def run_job(reporter, seeds=(1,), tmp_path="/out"):
    job = reporter.job_started("my job")
    with job.stage(DATA_PIPELINE):
        pass
    for seed in seeds:
        with job.stage(FEATURISE, seed):
            pass
        with job.stage(INFERENCE, seed):
            pass
        with job.stage(EXTRACT, seed) as words:
            words["samples"] = 5
    job.finished(tmp_path)
    return job


def test_jobs_of_a_batch_are_counted(reporter, caplog):
    caplog.set_level(logging.INFO, logger="af3opt")
    reporter.job_started("a", (3, 20))
    assert caplog.records[-1].getMessage() == "Running fold job a... (3/20)"


def test_words_people_search_logs_for(reporter, caplog):
    caplog.set_level(logging.INFO, logger="af3opt")
    run_job(reporter, seeds=(1, 2))
    times = re.sub(r"\d+\.\d\d seconds", "T seconds", caplog.text)
    for phrase in (
        "Running fold job my job...",
        "Running data pipeline...",
        "Featurising data with seed 1 took T seconds.",
        "Featurising data with 2 seed(s) took T seconds.",
        "Running model inference with seed 2...",
        "Running model inference with seed 2 took T seconds.",
        "Extracting inference results with seed 1...",
        "Extracting 5 inference samples with seed 1 took T seconds.",
        "Running model inference and extracting output structures with 2 seed(s) took T seconds.",
        "Fold job my job done, output written to /out",
    ):
        assert phrase in times


def test_failed_stage_is_not_timed(reporter):
    job = reporter.job_started("job")
    with pytest.raises(RuntimeError), job.stage(INFERENCE, 1):
        raise RuntimeError
    assert job.clock.times == ()


def test_stages_may_overlap_in_threads(reporter):
    job = reporter.job_started("job")
    barrier = threading.Barrier(2)

    def work(seed):
        with job.stage(FEATURISE, seed):
            barrier.wait(timeout=10)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert job.clock.seeds("featurise") == 2


def test_records_for_the_run_record(tmp_path):
    memory = MemoryManager(Memory(None, "unknown"))
    reporter = Reporter(memory=memory, learned=LearnedTimes(tmp_path / "times.json"))
    job = reporter.job_started("job")
    with job.stage(FEATURISE, 1):
        pass
    job.cache_used("features", hit=True, seconds_saved=2.5)
    job.cache_used("features", hit=False)
    (stage,) = job.stage_records()
    assert (stage.name, stage.seed) == ("featurise", 1)
    assert stage.host_peak_bytes > 0
    (cache,) = job.cache_records()
    assert (cache.name, cache.hits, cache.misses, cache.seconds_saved) == ("features", 1, 1, 2.5)
    assert not memory.peaks


def test_stages_are_traced(tmp_path):
    spans = []

    class Keeper:
        @contextlib.contextmanager
        def span(self, name, job, seed=None):
            yield
            spans.append((name, job, seed))

    reporter = Reporter(trace=Keeper(), learned=LearnedTimes(tmp_path / "times.json"))
    with reporter.job_started("job").stage(FEATURISE, 3):
        assert not spans
    assert spans == [("featurise", "job", 3)]


def test_closing_table(reporter):
    run_job(reporter, seeds=(1, 2))
    reporter.cache_used("compile", hit=True, seconds_saved=9)
    lines = reporter.summary()
    assert lines[0].startswith("data_pipeline")
    assert re.match(r"inference +2 x", lines[2])
    assert lines[-1] == "compile cache      1 hit(s), 0 miss(es), 9.0 s saved"


def test_times_are_learned_and_scaled(tmp_path):
    path = tmp_path / "home" / "times.json"
    times = LearnedTimes(path)
    assert times.estimate("inference", WORKLOAD) is None
    times.learn("inference", WORKLOAD, 10.0)
    times.learn("inference", WORKLOAD, 20.0)
    times.save()
    again = LearnedTimes(path)
    assert again.estimate("inference", WORKLOAD) == pytest.approx(13.0)
    larger = Workload(device="cpu", tokens=256, samples=5, recycles=10, steps=200)
    growth = model_work(256, 5, 10, 200) / model_work(128, 5, 10, 200)
    assert again.estimate("inference", larger) == pytest.approx(13.0 * growth)
    assert again.estimate("featurise", WORKLOAD) is None


def sized(tokens):
    return dataclasses.replace(WORKLOAD, tokens=tokens)


def test_a_peptide_says_little_of_a_protein(tmp_path):
    times = LearnedTimes(tmp_path / "times.json")
    times.learn("seed", sized(16), 6.0, once=14.0)
    assert times.estimate("seed", sized(16)) == 6.0
    assert 30 < times.estimate("seed", sized(208)) < 200
    assert times.once("seed", sized(208)) == 14.0
    # All that is certain: no less than the peptide.
    assert times.at_least("seed", sized(208)) == 6.0
    assert times.at_least("seed", sized(8)) == 0.0


def test_two_sizes_tell_the_fixed_part(tmp_path):
    times = LearnedTimes(tmp_path / "times.json")
    work = {tokens: model_work(tokens, 5, 10, 200) for tokens in (128, 256, 512, 1024)}
    for tokens in (128, 512):
        times.learn("seed", sized(tokens), 40.0 + work[tokens] / 1e13)
    for tokens in (256, 1024):
        assert times.estimate("seed", sized(tokens)) == pytest.approx(40.0 + work[tokens] / 1e13)


def test_a_smaller_size_never_seems_to_take_longer_than_the_next(tmp_path):
    times = LearnedTimes(tmp_path / "times.json")
    times.learn("seed", sized(128), 50.0)
    times.learn("seed", sized(256), 30.0)
    assert times.estimate("seed", sized(200)) == 50.0
    assert times.estimate("seed", sized(512)) > 30.0


def test_times_of_the_first_layout_are_read_and_are_not_certain(tmp_path):
    path = tmp_path / "times.json"
    path.write_text(json.dumps({sized(128).family("seed"): {"128": 20.0}}))
    times = LearnedTimes(path)
    assert times.estimate("seed", sized(128)) == 20.0
    assert times.at_least("seed", sized(128)) == 0.0
    times.learn("seed", sized(128), 8.0, once=12.0)
    times.save()
    again = LearnedTimes(path)
    assert again.at_least("seed", sized(128)) == again.estimate("seed", sized(128)) == 8.0


DEEP = "[" * 100_000
FAMILY = f'{{"{WORKLOAD.family("inference")}": {{"{WORKLOAD.tokens}": %s}}}}'


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", '{"a": 1}', '{"a": {"x": "y"}}', "\x00", DEEP, FAMILY % "Infinity"),
        *(FAMILY % "1e999", FAMILY % "-3", FAMILY % "0", FAMILY % ("9" * 400)),
        *("{}", '{"a":' * 50_000),
        *('{"a": {"16": Infinity}}', '{"a": {"16": -1}}', '{"a": {"0": 1}}', '{"a": {"1": "1"}}'),
        '{"format": "af3opt-times/2", "families": {"a": {"16": {"seconds": NaN}}}}',
        '{"format": "af3opt-times/3", "families": {}}',
    ],
)
def test_damaged_times_are_forgotten(tmp_path, content):
    path = tmp_path / "times.json"
    path.write_text(content)
    assert LearnedTimes(path).estimate("inference", WORKLOAD) is None


def test_no_bars_without_a_terminal():
    console = Console(file=io.StringIO())
    with open_display(total_jobs=1, console=console, wanted=True) as display:
        assert isinstance(display, NoDisplay)


def test_bars_on_a_terminal_leave_log_lines_whole(tmp_path):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80)
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    try:
        with open_display(total_jobs=2, console=console, wanted=True) as display:
            reporter = Reporter(learned=LearnedTimes(tmp_path / "times.json"))
            reporter.show_on(display)
            reporter.learned.learn("inference", WORKLOAD, 5.0)
            job = reporter.job_started("job [red]x[/red] <b>")
            job.workload = WORKLOAD
            with job.stage(INFERENCE, 7):
                logging.getLogger().warning("a line from [elsewhere]")
            job.finished(tmp_path)
        assert handler.stream is stream
    finally:
        logging.getLogger().removeHandler(handler)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "a line from [elsewhere]\n" in text
    assert "inference, seed 7" in text
    assert "job [red]x[/red] <b>" in text


def test_json_lines(capsys, reporter):
    configure_logging(Verbosity(log_format="json"))
    try:
        run_job(reporter)
    finally:
        configure_logging(Verbosity())
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert events[0]["event"] == "job_started"
    assert events[0]["job"] == "my job"
    assert events[0]["level"] == "INFO"
    ended = [event for event in events if event["event"] == "stage_ended"]
    assert [event["stage"] for event in ended] == [
        "data_pipeline", "featurise", "inference", "extract",
    ]  # fmt: skip
    assert ended[1]["seed"] == 1
    assert ended[1]["seconds"] >= 0


def test_stage_names_are_unique():
    assert len({stage.name for stage in STAGES}) == len(STAGES)
