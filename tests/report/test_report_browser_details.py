"""Files saved from the pages, seeds as groups, ligands and contacts close up."""

import csv
import json
import re

import pytest

from af3opt.report import ReportFiles, write_batch_report, write_report
from tests.report.browsing import (
    NEEDS_BROWSER,
    By,
    Keys,
    Select,
    WebDriverWait,
    differing,
    picture,
    press,
    status,
    wait_shown,
)
from tests.report.synthetic_job import SyntheticJob, write_job
from tests.scores.batches import write_job as write_scored_job
from tests.scores.models import protein_dna

pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("details")


@pytest.fixture(scope="module")
def seeds_page(root):
    job = SyntheticJob("=seeds", residues=20, seeds=(1, 2, 7), samples=2)
    return write_report(write_job(root / "jobs", job), files=ReportFiles(csv=True))


@pytest.fixture(scope="module")
def close_page(root):
    return write_report(write_scored_job(root, "close", protein_dna(), (0.9,)))


@pytest.fixture
def saved(browser, tmp_path):
    """Presses a button and returns the file that the browser then has."""
    behaviour = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)

    def press_button(identifier):
        for path in tmp_path.iterdir():  # A file of the same name would be written over.
            path.unlink()
        browser.find_element(By.ID, identifier).click()

        def found(_):
            files = list(tmp_path.iterdir())
            return files[0] if files and files[0].suffix != ".crdownload" else None

        return WebDriverWait(browser, 30).until(found)

    return press_button


def test_structure_scores_and_table_of_a_job_can_be_saved(visit, seeds_page, saved):
    browser = visit(seeds_page)
    press(browser, Keys.ARROW_RIGHT)
    wait_shown(browser, "1")
    job = seeds_page.parent
    model = saved("save-cif")
    label = re.search(r"seed-\d_sample-\d", model.name)[0]
    assert model.name == f"{job.name}_{label}_model.cif"
    assert model.read_bytes() == (job / label / f"{job.name}_{label}_model.cif").read_bytes()
    values = json.loads(saved("save-json").read_text())
    written = json.loads((job / label / f"{job.name}_{label}_confidences.json").read_text())
    assert (values["label"], values["rank"]) == (label, 2)
    assert values["token_chain_ids"] == written["token_chain_ids"]
    assert values["token_res_ids"] == written["token_res_ids"]
    assert values["pae_tokens_per_cell"] == 1
    for mine, theirs in zip(values["pae"], written["pae"], strict=True):
        assert mine == pytest.approx(theirs, abs=0.0626)
    assert saved("save-csv").read_bytes() == seeds_page.with_suffix(".csv").read_bytes()


def test_structure_beyond_the_room_of_the_page_says_where_it_lies(visit, root, monkeypatch):
    monkeypatch.setattr("af3opt.report.payload._MAX_STRUCTURES", 10)
    job = write_job(root / "room", SyntheticJob("room", residues=20, single_chain=True))
    browser = visit(write_report(job))
    button = browser.find_element(By.ID, "save-cif")
    assert button.is_enabled()
    press(browser, Keys.ARROW_RIGHT)
    wait_shown(browser, "1")
    assert not button.is_enabled()
    assert button.get_attribute("title") == "not in this page; look in seed-1_sample-1"


def test_rows_shown_of_a_batch_can_be_saved(visit, root, saved):
    for name in ("=first", "second"):
        write_job(root / "batch", SyntheticJob(name, residues=20, samples=1))
    browser = visit(write_batch_report(root / "batch"))
    rows = list(csv.DictReader(saved("save-csv").open()))
    assert {row["name"] for row in rows} == {"'=first", "second"}
    browser.find_element(By.ID, "search").send_keys("second")
    (row,) = json.loads(saved("save-json").read_text())
    assert row["name"] == "second"
    assert row["remarks"] == []
    assert "trace" not in row
    (line,) = csv.DictReader(saved("save-csv").open())
    assert float(line["ranking_score"]) == row["ranking_score"]


def test_seeds_are_compared_as_groups(visit, seeds_page):
    browser = visit(seeds_page)
    rows = browser.find_elements(By.CSS_SELECTOR, "#seeds tbody tr")
    assert [row.find_element(By.TAG_NAME, "th").text for row in rows] == ["1", "2", "7"]
    assert rows[0].text.split()[:5] == ["1", "2", "0.85", "0.80", "0.75"]
    summary = browser.find_element(By.ID, "seeds-summary").text
    assert re.match(r"Standard deviation of the ranking score: 0\.\d{3} between", summary)
    dots = browser.find_elements(By.CSS_SELECTOR, "#seeds .dot")
    assert [dot.get_attribute("data-chosen") for dot in dots] == ["", *[None] * 5]
    left = [dot.location["x"] for dot in dots]
    assert left[0] == max(left)
    assert left[-1] == min(left)
    dots[-1].click()
    wait_shown(browser, dots[-1].get_attribute("data-index"))
    assert dots[-1].get_attribute("data-chosen") == ""
    Select(browser.find_element(By.ID, "seed-score")).select_by_value("mean_plddt")
    assert "mean pLDDT" in browser.find_element(By.ID, "seeds-summary").text
    chosen = browser.find_elements(By.CSS_SELECTOR, "#seeds .dot[data-chosen]")
    assert [dot.get_attribute("data-index") for dot in chosen] == ["5"]


def test_a_single_seed_is_no_group(visit, close_page):
    browser = visit(close_page)
    assert not browser.find_element(By.ID, "seeds-card").is_displayed()


def test_a_ligand_is_shown_close_up_with_its_surroundings(visit, close_page):
    browser = visit(close_page)
    WebDriverWait(browser, 10).until(
        lambda d: len(d.find_elements(By.CSS_SELECTOR, "#ligands tbody tr")) == 2
    )
    rows = browser.find_elements(By.CSS_SELECTOR, "#ligands tbody tr")
    assert [row.text.split()[:3] for row in rows] == [["D", "LIG", "8"], ["E", "MG", "1"]]
    count = int(rows[0].text.split()[-1])
    assert count > 0
    before = picture(browser, "#viewer")
    rows[0].find_element(By.TAG_NAME, "button").click()
    ending = f"{count} residues within 5 Å"
    WebDriverWait(browser, 10).until(lambda _: status(browser) == f"Ligand D (LIG): {ending}")
    assert rows[0].get_attribute("data-chosen") == ""
    legend = browser.find_element(By.ID, "region-legend").text
    assert "ligand D" in legend
    assert "possible hydrogen bond" in legend
    assert differing(browser, before, picture(browser, "#viewer")) > 2000
    press(browser, Keys.ESCAPE)
    assert rows[0].get_attribute("data-chosen") is None
    assert browser.find_element(By.ID, "plddt-legend").is_displayed()


def test_contacts_of_an_interface_are_lines_until_escape(visit, close_page):
    browser = visit(close_page)
    row = browser.find_element(By.CSS_SELECTOR, "#interfaces tbody tr")
    row.find_element(By.TAG_NAME, "button").click()
    WebDriverWait(browser, 10).until(lambda _: status(browser).startswith("Interface of chains"))
    lines = "return document.getElementById('viewer').dataset.lines"
    contacts = int(status(browser).split()[-2])
    assert int(browser.execute_script(lines)) == min(contacts, 200) > 0
    assert "chain B" in browser.find_element(By.ID, "region-legend").text
    press(browser, Keys.ESCAPE)
    assert browser.execute_script(lines) == "0"
