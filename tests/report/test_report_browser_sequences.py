"""Alignments and sequences on a job's page, and what it says of ipTM."""

import json

import pytest

from af3opt.report import write_report
from tests.report.browsing import (
    NEEDS_BROWSER,
    ActionChains,
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

pytestmark = NEEDS_BROWSER
CANVAS = "#alignments figure:nth-of-type({}) canvas"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("sequences")
    job = write_job(root, SyntheticJob("deep", residues=60, samples=3, msa_rows=800))
    for sample, iptm in enumerate((0.85, 0.7, 0.3)):
        path = (
            job
            / f"seed-1_sample-{sample}"
            / f"deep_seed-1_sample-{sample}_summary_confidences.json"
        )
        summary = json.loads(path.read_text())
        summary["iptm"] = iptm
        summary["chain_pair_iptm"][0][1] = summary["chain_pair_iptm"][1][0] = iptm
        path.write_text(json.dumps(summary))
    return write_report(job)


def alignments_drawn(browser):
    def drawn(driver):
        canvas = driver.find_elements(By.CSS_SELECTOR, "#alignments canvas")
        return len(canvas) == 2 and differing(driver, picture(driver, CANVAS.format(2))) > 1000

    WebDriverWait(browser, 30).until(drawn)


def test_each_alignment_is_drawn_with_its_number_of_rows(visit, page):
    browser = visit(page)
    alignments_drawn(browser)
    captions = [e.text for e in browser.find_elements(By.CSS_SELECTOR, "#alignments figcaption")]
    assert captions == ["Chain A 800 different rows", "Chain B 799 different rows"]
    before = picture(browser, CANVAS.format(1))
    assert differing(browser, before) > 20000
    Select(browser.find_element(By.ID, "palette")).select_by_value("safe")
    assert differing(browser, before, picture(browser, CANVAS.format(1))) > 5000
    legend = browser.find_element(By.ID, "msa-legend").text
    assert "identity to the query" in legend


def test_alignment_tells_the_rows_at_a_position_by_key_and_pointer(visit, page):
    browser = visit(page)
    alignments_drawn(browser)
    canvas = browser.find_element(By.CSS_SELECTOR, CANVAS.format(2))
    canvas.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert status(browser).startswith("B residue 2: ")
    assert status(browser).endswith("of 799 rows")
    line = picture(browser, "#plddt")
    ActionChains(browser).move_to_element(canvas).perform()
    assert browser.find_element(By.ID, "tooltip").text.startswith("B residue ")
    assert differing(browser, line, picture(browser, "#plddt")) > 50


def test_whole_sequence_is_coloured_by_plddt_and_marks_residues(visit, page):
    browser = visit(page)
    chains = browser.find_elements(By.CSS_SELECTOR, ".sequence-chain")
    assert [chain.find_element(By.TAG_NAME, "h3").text for chain in chains] == [
        "Chain A protein, 60 residues",
        "Chain B protein, 30 residues",
        "Chain C DNA, 10 residues",
    ]
    letters = chains[2].find_elements(By.CSS_SELECTOR, ".residue")
    assert "".join(letter.text for letter in letters) == "ACGTACGTAC"
    wrong = browser.execute_script("""
      const bands = [[90, "rgb(0, 83, 214)"], [70, "rgb(101, 203, 243)"], [50, "rgb(255, 219, 19)"],
        [0, "rgb(255, 125, 69)"]];
      return [...document.querySelectorAll(".residue")].filter((node) => {
        const plddt = Number(node.title.split("pLDDT ")[1]);
        const near = bands.some(([limit]) => Math.abs(plddt - limit) < 0.06);
        const [, colour] = bands.find(([limit]) => plddt >= limit);
        return !near && getComputedStyle(node).backgroundColor !== colour;
      }).map((node) => node.title);
    """)
    assert wrong == []
    letters[3].click()
    assert status(browser).startswith("C DT 4: pLDDT ")


def test_grey_zone_of_iptm_is_named(visit, page):
    browser = visit(page)

    def tile():
        return browser.find_element(By.CSS_SELECTOR, "#tiles .tile:nth-child(2)")

    assert "above 0.8: confident" in tile().text
    press(browser, Keys.ARROW_RIGHT)
    wait_shown(browser, "1")
    assert "grey zone" in tile().text
    assert "bad" in tile().get_attribute("class")
    marked = browser.find_elements(By.CSS_SELECTOR, "#ranking .grey-zone")
    assert [mark.text for mark in marked] == ["0.70"]
    names = [
        button.get_attribute("title")
        for button in browser.find_elements(By.CSS_SELECTOR, "#matrix td button")
    ]
    assert [name for name in names if "A and B: 0.70, grey zone" in name]
    press(browser, Keys.ARROW_RIGHT)
    wait_shown(browser, "2")
    assert "below 0.6: probably wrong" in tile().text
