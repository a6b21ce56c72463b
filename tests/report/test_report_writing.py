import csv
import hashlib
import html.parser
import json
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

from af3opt.base.errors import InputError, SetupError, UsageError
from af3opt.commands import report
from af3opt.report import ReportFiles, write_batch_report, write_report, writing
from af3opt.report.page import job_page
from tests.report.synthetic_job import SyntheticJob, write_job

HOSTILE_NAME = '"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
ASSETS = Path(writing.__file__).parent / "assets"


class Page(html.parser.HTMLParser):
    """What a browser would see: elements with their attributes, text by element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.data = ""
        self.title = ""
        self._open: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self._open and self._open[-1] == ("script", {"type": "application/json", "id": "data"}):
            self.data += data
        if self._open and self._open[-1][0] == "title":
            self.title += data

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    @property
    def payload(self):
        return json.loads(self.data)


@pytest.fixture
def job_dir(tmp_path):
    return write_job(tmp_path / "out", SyntheticJob(residues=25))


def test_page_lies_beside_the_results_and_holds_everything(job_dir):
    page = write_report(job_dir)
    assert page == job_dir / "demo_report.html"
    seen = Page(page.read_text())
    assert seen.payload["name"] == "demo"
    assert len(seen.payload["samples"]) == 2
    loaded = [attrs for _, attrs in seen.elements if "src" in attrs or "href" in attrs]
    assert loaded == []


def test_page_of_400_residues_and_5_samples_is_at_most_5_mb(tmp_path):
    job = SyntheticJob(residues=400, samples=5, single_chain=True)
    assert write_report(write_job(tmp_path, job)).stat().st_size <= 5_000_000


def test_hostile_names_and_descriptions_stay_text(tmp_path):
    job = SyntheticJob(HOSTILE_NAME, residues=20, description="</script><script>alert(2)</script>")
    job.extra_data = {"userCCD": "\u2028<!--"}
    page = write_report(write_job(tmp_path, job))
    plain = write_report(write_job(tmp_path / "plain", SyntheticJob(residues=20)))
    seen, expected = Page(page.read_text()), Page(plain.read_text())
    tags = [tag for tag, _ in seen.elements]
    assert tags == [tag for tag, _ in expected.elements]
    assert seen.title == f"{HOSTILE_NAME} - af3opt report"
    assert seen.payload["name"] == HOSTILE_NAME


def test_only_the_scripts_of_the_page_may_run():
    text = job_page("x", {"a": 1})
    policy = dict(Page(text).elements[3][1])["content"]
    assert "default-src 'none'" in policy
    assert policy.count("'sha256-") == 2
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_viewer_is_the_file_its_note_describes():
    note = (ASSETS / "3Dmol-PROVENANCE.md").read_text()
    digest = hashlib.sha256((ASSETS / "3Dmol-min.js").read_bytes()).hexdigest()
    assert digest in note
    assert "BSD-3-Clause" in (ASSETS / "3Dmol-LICENSE.txt").read_text()


def test_placeholders_in_names_stay_text(tmp_path):
    page = write_report(write_job(tmp_path, SyntheticJob("@@DATA@@ @@STYLE@@", residues=20)))
    assert Page(page.read_text()).title == "@@DATA@@ @@STYLE@@ - af3opt report"


def test_lone_surrogates_in_names_do_not_stop_the_report(job_dir):
    data = job_dir / "demo_data.json"
    data.write_text(data.read_text().replace('"demo"', '"\\ud800x"'))
    assert Page(write_report(job_dir).read_text()).title == "?x - af3opt report"


def test_batch_page_links_to_pages_that_exist(tmp_path):
    root = tmp_path / "out"
    for name in ("a b", "javascript_x", "50% #1?"):
        write_job(root, SyntheticJob(name, residues=20))
    (root / "50%25 #1?").mkdir()
    page = write_batch_report(root)
    assert page == root / "af3opt_report.html"
    for job in Page(page.read_text()).payload["jobs"]:
        assert job["href"].startswith("./")
        assert (root / urllib.parse.unquote(job["href"])).is_file()


def test_batch_with_output_writes_nothing_into_the_results(tmp_path):
    root = tmp_path / "out"
    write_job(root, SyntheticJob(residues=20))
    before = sorted(root.rglob("*"))
    page = write_batch_report(root, tmp_path / "pages" / "all.html", ReportFiles(csv=True))
    assert sorted(root.rglob("*")) == before
    assert (tmp_path / "pages" / "all_jobs" / "demo.html").is_file()
    assert page.with_suffix(".csv").is_file()


def test_batch_lists_failures_with_and_without_directories(tmp_path):
    root = tmp_path / "out"
    write_job(root, SyntheticJob(residues=20))
    failures = [{"name": "demo", "reason": "NaN"}, {"name": "gone", "reason": "no memory"}, 7]
    (root / "failed.json").write_text(json.dumps(failures))
    jobs = Page(write_batch_report(root).read_text()).payload["jobs"]
    assert [(job["name"], job["remarks"]) for job in jobs] == [
        ("demo", ["failed: NaN"]),
        ("gone", ["failed: no memory"]),
    ]
    (root / "failed.json").write_text("[")
    jobs = Page(write_batch_report(root).read_text()).payload["jobs"]
    assert jobs[-1]["remarks"] == ["failed: broken JSON at line 1"]


def test_csv_has_one_line_per_sample_and_no_formulas(tmp_path):
    job_dir = write_job(tmp_path, SyntheticJob("=HYPERLINK(1)", residues=20))
    page = write_report(job_dir, files=ReportFiles(csv=True))
    rows = list(csv.DictReader(page.with_suffix(".csv").open()))
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert rows[0]["job"] == "'=HYPERLINK(1)"
    assert float(rows[0]["mean_plddt"]) > 0


def test_pictures_of_every_embedded_sample(job_dir):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    data = job_dir / "demo_data.json"
    data.write_text(data.read_text().replace('"demo"', '"$x^{ \\u0000"'))
    write_report(job_dir, files=ReportFiles(png=True, max_samples=1))
    pictures = sorted(job_dir.glob("*.png"))
    assert [path.name for path in pictures] == ["demo_report_seed-1_sample-0.png"]
    assert pictures[0].read_bytes().startswith(b"\x89PNG")


def test_missing_matplotlib_is_said_before_anything_is_written(job_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    before = sorted(job_dir.parent.rglob("*"))
    files = ReportFiles(png=True, csv=True)
    for write, directory in ((write_report, job_dir), (write_batch_report, job_dir.parent)):
        with pytest.raises(SetupError, match=r"--png needs matplotlib.*pip install 'matplotlib>="):
            write(directory, files=files)
    assert sorted(job_dir.parent.rglob("*")) == before


def test_place_that_cannot_be_written_is_named(job_dir):
    (job_dir / "file").write_text("")
    with pytest.raises(SetupError, match=r"cannot write .*file/x\.html: .*--output"):
        write_report(job_dir, job_dir / "file" / "x.html")


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_directory_without_results_is_an_input_error(tmp_path, name, capsys):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        report.main([str(tmp_path / name)])


def test_command_prints_the_page_of_a_job_and_of_a_batch(job_dir, capsys):
    assert report.main([str(job_dir), "--csv"]) == 0
    assert capsys.readouterr().out == f"{job_dir / 'demo_report.html'}\n"
    assert report.main([str(job_dir.parent), "--nojob_pages"]) == 0
    batch = Path(capsys.readouterr().out.strip())
    assert Page(batch.read_text()).payload["jobs"][0]["href"] == "./demo/demo_report.html"


@pytest.mark.parametrize(
    "flags", [["--max_samples=0"], ["--max_samples=x"], ["--bogus"], [], ["--output=."]]
)
def test_wrong_flags_are_usage_errors(job_dir, flags):
    arguments = flags if flags == [] else [str(job_dir), *flags]
    with pytest.raises(UsageError):
        report.main(arguments)


def test_help_does_not_import_numpy():
    code = (
        "import sys, af3opt.commands.report as r\n"
        "try: r.main(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0
