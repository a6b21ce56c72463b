"""What a batch's page is given: remarks, scores of interfaces, outlines of structures."""

import base64
import zlib

import numpy as np

from af3opt.report import ReportFiles, write_batch_report, write_report
from af3opt.report.batch import batch_row
from af3opt.report.job import load_job
from af3opt.report.trace import trace
from tests.report.synthetic_job import SyntheticJob, write_job
from tests.report.test_report_writing import Page


def points(packed):
    return np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8).reshape(5, -1)


def test_an_outline_has_a_point_for_each_residue_and_ligand_atom(tmp_path):
    job = load_job(write_job(tmp_path, SyntheticJob(residues=40)), 1)
    structure = job.samples[0].structure
    x, y, z, plddt, chain = points(trace(structure, 1000))
    assert np.bincount(chain)[[0, 1, 2, 255]].tolist() == [40, 20, 10, 9]
    spans = [int(np.ptp(axis.astype(int))) for axis in (x, y, z)]
    assert spans[0] == 254
    assert spans == sorted(spans, reverse=True)
    assert (plddt[chain == 0] < 50).sum() == 4
    assert points(trace(structure, 20)).shape[1] <= 20


def test_an_outline_leaves_out_what_has_no_place(tmp_path):
    structure = load_job(write_job(tmp_path, SyntheticJob(residues=20)), 1).samples[0].structure
    structure.b_factors[:] = np.nan
    structure.coordinates[structure.topology.atom_residue == 3] = np.inf
    _, _, _, plddt, chain = points(trace(structure, 1000))
    assert (chain == 0).sum() == 19
    assert set(plddt) == {255}
    structure.coordinates[:] = np.nan
    assert trace(structure, 1000) is None


def test_pictures_of_many_jobs_share_the_room(tmp_path):
    job = load_job(write_job(tmp_path, SyntheticJob(residues=120)), 1)
    few, many = (points(batch_row(job, None, jobs)["trace"]).shape[1] for jobs in (1, 8000))
    assert few > 120
    assert 40 <= many <= 50


def test_table_alone_links_to_pages_that_are_there_and_to_no_link(tmp_path):
    root = tmp_path / "out"
    for name in ("first", "second", "third"):
        write_job(root, SyntheticJob(name, residues=20, samples=1))
    write_report(root / "first")
    (root / "third" / "third_report.html").symlink_to(root / "first" / "first_report.html")
    before = sorted(root.rglob("*"))
    page = write_batch_report(root, tmp_path / "all.html", ReportFiles(job_pages=False))
    assert sorted(root.rglob("*")) == before
    jobs = Page(page.read_text()).payload["jobs"]
    assert [job["href"] for job in jobs] == ["./out/first/first_report.html", None, None]


def test_remarks_say_how_many_samples_and_whether_the_best_is_one(tmp_path):
    job = load_job(write_job(tmp_path, SyntheticJob(residues=20, samples=3)), 3)
    for sample, flags in zip(job.samples, (["a", "b"], ["b", "c"], ["b", "d"]), strict=True):
        sample.flags = flags
    job.samples[1].missing = job.samples[2].missing = ["e"]
    assert batch_row(job, None)["remarks"] == [
        "a (the best sample)",
        "b (3 samples, the best too)",
        "c (1 sample)",
        "e (2 samples)",
        "d (1 sample)",
    ]
    job.samples = job.samples[:1]
    assert batch_row(job, None)["remarks"] == ["a", "b"]
