"""`af3opt status`, `af3opt collect` and the estimates of `af3opt submit`, from made-up batches."""

import csv
import io
import json
import sys

import pytest

from af3opt import cli
from af3opt.base.errors import ExitCode
from af3opt.execution.claims.claim import try_claim
from af3opt.execution.job.identity import Identity
from af3opt.execution.job.journal import JobJournal
from af3opt.execution.outcomes import Outcome, Status, write_failures
from af3opt.execution.planning.deadline import seed_workload
from af3opt.execution.planning.kept_plans import write_plan
from af3opt.execution.planning.plan import PlannedJob
from af3opt.execution.state_directory import jobs_directory
from af3opt.output.tree import JobTree, SampleScore, write_ranking
from af3opt.progress import LearnedTimes
from af3opt.settings.settings import resolve_settings
from tests.execution.conftest import write_input


class Batch:
    """An output directory as a batch leaves it, without the batch."""

    def __init__(self, root):
        self.root = root
        self.planned = []

    def expect(self, name, seeds, tokens=100):
        job = PlannedJob(
            path=self.root / f"{name}.json", position=0, name=name, tokens=tokens, seeds=seeds
        )
        self.planned.append(job)
        self.root.mkdir(exist_ok=True)
        write_plan(self.root, self.planned)
        return job

    def search(self, name, seeds):
        journal = JobJournal(self.root, name)
        tree = JobTree(self.root / name, name)
        tree.root.mkdir()
        journal.directory.mkdir(parents=True)
        tree.data_json.write_text("{}")
        journal.data.finish(Identity({"input": name}), tree.data_json, "resolved", seeds)

    def run(self, name, seeds, done, seconds=60.0, **parts):
        """A job whose MSAs and some seeds are done; scores are seed + sample / 10."""
        self.search(name, seeds)
        tree = JobTree(self.root / name, name)
        run = JobJournal(self.root, name).run(Identity({"run": name, **parts}), seeds)
        run.begin(tree.root, seeds, parts)
        scores = []
        for seed in done:
            for sample in range(2):
                directory = tree.sample_dir(seed, sample)
                directory.mkdir()
                prefix = directory / tree.sample_name(seed, sample)
                summary = {"ptm": 0.5, "iptm": None, "fraction_disordered": 0.1, "has_clash": 0.0}
                prefix.with_name(f"{prefix.name}_summary_confidences.json").write_text(
                    json.dumps(summary)
                )
                scores.append(SampleScore(seed, sample, seed + sample / 10))
            written = [tree.sample_dir(seed, sample) for sample in range(2)]
            run.finish_seed(seed, tree.root, written, scores[-2:], seconds)
        write_ranking(tree, scores)


@pytest.fixture
def batch(tmp_path):
    """Five jobs, each in another state."""
    made = Batch(tmp_path / "out")
    for name in ("done", "half", "searched", "failed", "untouched"):
        made.expect(name, (1, 2))
    made.run("done", [1, 2], [1, 2])
    made.run("half", [1, 2], [1])
    made.search("searched", [1, 2])
    outcome = Outcome(
        name="failed", path=made.root / "failed.json", status=Status.FAILED, reason="is empty"
    )
    write_failures(made.root, [outcome])
    try_claim(jobs_directory(made.root) / "half")
    return made


def call(capfd, *arguments):
    capfd.readouterr()
    code = cli.main([*map(str, arguments)])
    printed = capfd.readouterr()
    return code, printed.out, printed.err


def test_status_counts_and_estimates(batch, capfd):
    code, text, _ = call(capfd, "status", batch.root)
    assert code == ExitCode.OK
    lines = text.splitlines()
    assert lines[0] == "1 done, 1 searched, 1 running, 1 failed, 1 left"
    assert lines[1] == "3 of 10 seeds"
    # One seed of "half" and two each of "searched" and "untouched", a minute each.
    assert lines[2] == "about 5 min of inference left, 5 min with 1 running"
    assert lines[3].startswith("running  half  1/2  process ")
    assert lines[4] == "failed   failed  0/2  is empty"


def test_status_as_json(batch, capfd):
    code, text, _ = call(capfd, "status", batch.root, "--json")
    assert code == ExitCode.OK
    status = json.loads(text)
    states = {job["name"]: (job["state"], job["seeds_done"]) for job in status["jobs"]}
    assert states == {
        "done": ("done", 2),
        "half": ("running", 1),
        "searched": ("searched", 0),
        "failed": ("failed", 0),
        "untouched": ("left", 0),
    }
    assert status["seconds_left"] == pytest.approx(300)


def test_status_of_a_batch_that_stopped_estimates_all_the_same(tmp_path, capfd):
    batch = Batch(tmp_path / "out")
    batch.expect("half", (1, 2))
    batch.run("half", [1, 2], [1])
    code, text, _ = call(capfd, "status", batch.root)
    assert code == ExitCode.OK
    assert text.splitlines()[2] == "about 60 s of inference left"


def test_status_without_a_finished_seed_estimates_nothing(tmp_path, capfd):
    batch = Batch(tmp_path / "out")
    batch.expect("job", (1,))
    assert "device time" not in call(capfd, "status", batch.root)[1]


def test_status_survives_damaged_journals(batch, capfd):
    for path in jobs_directory(batch.root).glob("*/*/*.json"):
        path.write_text("{")
    code, text, _ = call(capfd, "status", batch.root)
    assert code == ExitCode.OK
    assert "0 of 10 seeds" in text


def test_status_of_another_directory_is_one_line(tmp_path, capfd):
    code, _, error = call(capfd, "status", tmp_path)
    assert code == ExitCode.USAGE
    assert (
        error
        == f"af3opt: error: af3opt status: {tmp_path} is not the output directory of a batch\n"
    )


def test_collect_makes_a_row_of_each_sample(batch, capfd):
    code, text, _ = call(capfd, "collect", batch.root)
    assert code == ExitCode.OK
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["job"], row["seed"], row["sample"]) for row in rows] == [
        *(("done", seed, sample) for seed in "12" for sample in "01"),
        *(("half", "1", sample) for sample in "01"),
    ]
    assert [row["best"] for row in rows] == ["False", "False", "False", "True", "False", "True"]
    assert rows[0]["ranking_score"] == "1.0"
    assert (rows[0]["ptm"], rows[0]["iptm"]) == ("0.5", "")


def test_collect_says_when_there_is_nothing_yet(tmp_path, capfd):
    code, text, error = call(capfd, "collect", tmp_path)
    assert code == ExitCode.OK
    assert len(text.splitlines()) == 1
    assert f"No job directory in {tmp_path} has scores yet" in error


def test_collect_writes_csv_whole(batch, tmp_path, capfd):
    table = tmp_path / "scores.csv"
    assert call(capfd, "collect", batch.root, f"--output={table}")[0] == ExitCode.OK
    assert len(table.read_text().splitlines()) == 1 + 6


def test_collect_writes_parquet(batch, tmp_path, capfd):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = tmp_path / "scores.parquet"
    assert call(capfd, "collect", batch.root, f"--output={table}")[0] == ExitCode.OK
    read = parquet.read_table(table)
    assert read.num_rows == 6
    assert read.column("seed").to_pylist() == [1, 1, 2, 2, 1, 1]
    # A column of empty values has the type it would have with values.
    assert str(read.schema.field("iptm").type) == "double"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["scores.parquet"]


def test_parquet_without_pyarrow_says_what_to_install(batch, tmp_path, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    table = tmp_path / "scores.parquet"
    code, _, error = call(capfd, "collect", batch.root, f"--output={table}")
    assert code == ExitCode.USAGE
    assert "pip install 'pyarrow>=15'" in error
    assert not table.exists()


@pytest.mark.parametrize(
    ("output", "message"),
    [("scores.xlsx", "must end in .csv or .parquet"), ("none/scores.csv", "No such file")],
)
def test_collects_mistakes_are_one_line(batch, tmp_path, capfd, output, message):
    code, _, error = call(capfd, "collect", batch.root, f"--output={tmp_path / output}")
    assert code == ExitCode.USAGE
    assert message in error
    assert len(error.splitlines()) == 1


def test_collect_says_that_nothing_has_the_wanted_interface(batch, capfd):
    batch.expect("a", (1,), tokens=100)
    batch.run("a", [1], [1], seconds=1.0)
    code, _, said = call(capfd, "collect", batch.root, "--interface=Y:Z")
    assert code == ExitCode.OK
    assert "--interface=Y:Z: no sample has such an interface" in said


class Submit:
    """`af3opt submit --dry_run` of eight jobs of 100 tokens and one seed."""

    def __init__(self, tmp_path, capfd):
        self.capfd = capfd
        for number in range(8):
            write_input(tmp_path / "in", f"job{number}", [1], "M" * 100)
        site = tmp_path / "site.toml"
        site.write_text("[slurm]\nminutes_per_task = 3\n")
        output = tmp_path / "out"
        self.flags = [
            f"--slurm={site}",
            *(f"--input_dir={tmp_path / 'in'}", f"--output_dir={output}", "--dry_run"),
        ]

    def tasks(self, *more):
        """Number of array tasks, and what is said of the times."""
        code, script, said = call(self.capfd, "submit", *self.flags, *more)
        assert code == ExitCode.OK
        (array,) = {line for line in script.splitlines() if "--array=" in line}
        return int(array.partition("=0-")[2]) + 1, said


@pytest.fixture
def submit(tmp_path, capfd):
    return Submit(tmp_path, capfd)


def test_submit_uses_published_times_where_nothing_is_known(submit):
    tasks, said = submit.tasks()
    assert tasks == 1
    assert "8 fold jobs in 1 array task(s), balanced by DeepMind's times of one A100" in said


@pytest.mark.parametrize("flag", ["--model_dir", "--db_dir"])
def test_submit_names_directories_that_are_not_here(submit, tmp_path, flag):
    (other,) = {"--model_dir", "--db_dir"} - {flag}
    there, missing = f"{other}={tmp_path}", f"{flag}={tmp_path / 'none'}"
    assert "not found on this machine" not in submit.tasks(there, f"{flag}={tmp_path}")[1]
    assert f"{missing}: not found on this machine" in submit.tasks(there, missing)[1]


def test_submit_uses_times_learned_on_this_installation(submit):
    settings = resolve_settings([], {})
    learned = LearnedTimes()
    for device, seconds in (("gpu A", 45.0), ("gpu B", 90.0), ("cpu C", 900.0)):
        learned.learn("seed", seed_workload(settings, device, 128), seconds)
    learned.learn("seed", seed_workload(settings, "gpu A (small weights)", 128), 1000.0)
    learned.save()
    # Two seeds of the slower GPU fit into three minutes.
    tasks, said = submit.tasks()
    assert tasks == 4
    assert "balanced by what was learned on gpu A, gpu B" in said
    # Where the model is to run on CPUs, their times count.
    assert submit.tasks("--jax_backend=cpu", "--buckets=128")[0] == 8
    # Nothing was learned with other numbers of recycles.
    assert "DeepMind's times" in submit.tasks("--num_recycles=3")[1]


def test_submit_prefers_times_of_the_batch_itself(submit, tmp_path):
    learned = LearnedTimes()
    learned.learn("seed", seed_workload(resolve_settings([], {}), "gpu A", 128), 10.0)
    learned.save()
    batch = Batch(tmp_path / "out")
    batch.expect("earlier", (1, 2), tokens=100)
    parts = {"num_recycles": 10, "num_diffusion_samples": 5, "jax_backend": "gpu"}
    batch.run("earlier", [1, 2], [1, 2], seconds=60.0, **parts)
    tasks, said = submit.tasks()
    assert tasks == 3
    assert f"balanced by 2 seed(s) that are finished in {tmp_path / 'out'}" in said
