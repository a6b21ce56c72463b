"""The pages in a real browser: Debian's Chromium, software WebGL, no network."""

import json

import pytest

from af3opt.report import write_batch_report, write_report
from tests.report.browsing import (
    MARGINS,
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
from tests.scores.batches import write_job as write_scored_job
from tests.scores.models import protein_dna

pytestmark = NEEDS_BROWSER
HOSTILE_NAME = '"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    root = tmp_path_factory.mktemp("pages")
    job = write_job(root, SyntheticJob("complex", residues=60, samples=3))
    (job / "complex_af3opt.json").write_text(json.dumps(RECORD))
    hostile = SyntheticJob(HOSTILE_NAME, residues=20, description=HOSTILE_NAME, synthetic=True)
    batch = root / "batch"
    write_job(batch, hostile)
    for index in range(3):
        single = SyntheticJob(f"job_{index}", residues=20 + index, samples=1, single_chain=True)
        write_job(batch, single)
    partial = write_job(root, SyntheticJob("partial", residues=20))
    for path in partial.rglob("*_model.cif"):
        path.write_text("data_broken\n")
    (partial / "seed-1_sample-0" / "partial_seed-1_sample-0_confidences.json").write_text("{")
    mixed = write_scored_job(root, "mixed", protein_dna(), (0.9, 0.5))
    return {
        "interfaces": write_report(mixed),
        "job": write_report(job),
        "batch": write_batch_report(batch),
        "partial": write_report(partial),
    }


RECORD = {
    "status": "done",
    "engine": {"distribution": "alphafold3", "version": "3.1.1", "fingerprint": "00aa"},
    "stages": [
        {"name": "inference", "seed": 1, "seconds": 60.5, "host_peak_bytes": 2.5e9},
        {"name": "write", "seed": 1, "seconds": 0.25},
    ],
    "earlier": [
        {
            "host": {"name": "node7"},
            "stages": [{"name": "inference", "seed": 2, "seconds": 60.5, "host_peak_bytes": 2.0e9}],
        }
    ],
    "optimizations": [{"name": "shared_noise", "fidelity": "exact", "active": True, "reason": ""}],
}


def test_every_panel_draws_something(visit, pages):
    browser = visit(pages["job"])
    assert differing(browser, picture(browser, "#viewer")) > 2000
    assert differing(browser, picture(browser, "#pae")) > 20000
    assert differing(browser, picture(browser, "#plddt")) > 2000
    assert len(browser.find_elements(By.CSS_SELECTOR, "#ranking tbody tr")) == 3
    assert len(browser.find_elements(By.CSS_SELECTOR, "#matrix td button")) == 25
    assert len(browser.find_elements(By.CSS_SELECTOR, "#chains tbody tr")) == 5
    assert browser.find_elements(By.CSS_SELECTOR, ".banner.loud") == []


def test_choosing_a_sample_changes_structure_map_and_scores(visit, pages):
    browser = visit(pages["job"])
    before = [picture(browser, selector) for selector in ("#viewer", "#pae", "#tiles")]
    browser.find_elements(By.CSS_SELECTOR, "#picker .chip")[2].click()
    wait_shown(browser, "2")
    after = [picture(browser, selector) for selector in ("#viewer", "#pae", "#tiles")]
    for old, new in zip(before, after, strict=True):
        assert differing(browser, old, new) > 300


def test_arrow_keys_switch_samples_from_the_page_and_the_picker(visit, pages):
    browser = visit(pages["job"])
    press(browser, Keys.ARROW_RIGHT)
    wait_shown(browser, "1")
    press(browser, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    wait_shown(browser, "2")
    browser.find_elements(By.CSS_SELECTOR, "#picker input")[2].send_keys(Keys.ARROW_LEFT)
    wait_shown(browser, "1")


def test_tab_order_follows_the_page(visit, pages):
    browser = visit(pages["job"])
    seen = []
    for _ in range(15):
        press(browser, Keys.TAB)
        active = browser.switch_to.active_element
        seen.append(active.get_attribute("id") or active.get_attribute("name"))
    expected = [
        "palette", "theme", "sample", "save-cif", "save-json", "save-csv", "colour-by",
        "side-chains", "reset", "picture", "viewer", "pae", "plddt",
    ]  # fmt: skip
    assert [name for name in seen if name in expected] == expected


def test_keys_turn_the_structure_and_walk_the_plots(visit, pages):
    browser = visit(pages["job"])
    viewer = browser.find_element(By.ID, "viewer")
    before = picture(browser, "#viewer")
    viewer.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert differing(browser, before, picture(browser, "#viewer")) > 500
    assert browser.execute_script("return document.body.dataset.shown") == "0"
    pae = browser.find_element(By.ID, "pae")
    pae.send_keys(Keys.ARROW_RIGHT, Keys.SHIFT + Keys.ARROW_RIGHT)
    assert status(browser).startswith("A ")
    pae.send_keys(Keys.NULL, Keys.ENTER)
    assert "Å apart in this model" in status(browser)
    browser.find_element(By.ID, "plddt").send_keys(Keys.ARROW_RIGHT)
    assert "pLDDT" in status(browser)


def test_dragging_a_block_colours_it_in_the_structure(visit, pages):
    browser = visit(pages["job"])
    before = picture(browser, "#viewer")
    pae = browser.find_element(By.ID, "pae")
    drag = ActionChains(browser).move_to_element_with_offset(pae, -60, -60).click_and_hold()
    drag.move_by_offset(60, 40).release().perform()
    assert status(browser).startswith("Mean PAE of the selection")
    assert differing(browser, before, picture(browser, "#viewer")) > 500
    assert browser.find_element(By.ID, "region-legend").is_displayed()
    press(browser, Keys.ESCAPE)
    assert not browser.find_element(By.ID, "region-legend").is_displayed()


def test_chain_pair_selects_its_block(visit, pages):
    browser = visit(pages["job"])
    browser.find_elements(By.CSS_SELECTOR, "#matrix td button")[1].click()
    assert status(browser).startswith("Mean PAE of the selection")


def test_an_interface_is_shown_close_up_until_escape(visit, pages):
    browser = visit(pages["interfaces"])
    rows = browser.find_elements(By.CSS_SELECTOR, "#interfaces tbody tr")
    names = [row.get_attribute("data-chains") for row in rows]
    assert names == ["B:C", "A:B", "A:C", "A:D", "A:E"]
    before = picture(browser, "#viewer")
    rows[1].find_element(By.TAG_NAME, "button").click()
    WebDriverWait(browser, 10).until(lambda _: status(browser).startswith("Interface of chains A"))
    assert rows[1].get_attribute("data-chosen") is not None
    assert browser.find_element(By.ID, "region-legend").is_displayed()
    assert differing(browser, before, picture(browser, "#viewer")) > 500
    press(browser, Keys.ESCAPE)
    assert rows[1].get_attribute("data-chosen") is None
    assert browser.find_element(By.ID, "plddt-legend").is_displayed()


def test_pairs_that_do_not_touch_are_listed_on_request(visit, pages):
    browser = visit(pages["interfaces"])
    browser.find_element(By.ID, "all-pairs").click()
    rows = browser.find_elements(By.CSS_SELECTOR, "#interfaces tbody tr")
    assert len(rows) == 10
    assert (
        "also the 5 pairs that do not touch" in browser.find_element(By.ID, "all-pairs-label").text
    )
    rows[-1].find_element(By.TAG_NAME, "button").click()
    WebDriverWait(browser, 10).until(lambda _: "0 contacts" in status(browser))


def test_palette_theme_and_colouring_change_the_picture(visit, pages):
    browser = visit(pages["job"], "dark")
    theme = "return document.documentElement.dataset.theme"
    assert browser.execute_script(theme) == "dark"
    first = picture(browser, "#viewer")
    Select(browser.find_element(By.ID, "palette")).select_by_value("safe")
    second = picture(browser, "#viewer")
    assert differing(browser, first, second) > 500
    Select(browser.find_element(By.ID, "colour-by")).select_by_value("chain")
    assert differing(browser, second, picture(browser, "#viewer")) > 500
    browser.find_element(By.ID, "theme").click()
    assert browser.execute_script(theme) == "light"
    browser.refresh()
    wait_shown(browser)
    assert browser.execute_script(theme) == "light"
    assert browser.find_element(By.ID, "palette").get_property("value") == "safe"


def test_every_control_and_picture_has_a_name(visit, pages):
    browser = visit(pages["job"])
    nameless = browser.execute_script("""
      const named = (node) => node.getAttribute("aria-label") || node.textContent.trim() ||
        (node.labels && node.labels.length);
      return [...document.querySelectorAll("button, select, input, canvas[tabindex], [role]")]
        .filter((node) => !named(node) && node.id !== "status").map((node) => node.outerHTML);
    """)
    assert nameless == []


def test_run_record_becomes_timings_facts_and_a_tree(visit, pages):
    browser = visit(pages["job"])
    timings = browser.find_element(By.ID, "timings").text
    assert "inference 2 2 min 1 s 2.50 GB" in timings
    assert "250 ms" in timings
    assert "alphafold3 · 3.1.1 · 00aa" in browser.find_element(By.ID, "facts").text
    assert "node7" in browser.find_element(By.ID, "facts").text
    assert "shared_noise exact yes" in browser.find_element(By.ID, "optimizations").text
    assert not browser.find_element(By.ID, "record").is_displayed()
    browser.find_element(By.CSS_SELECTOR, "#record-card details summary").click()
    assert "distribution" in browser.find_element(By.ID, "record").get_attribute("textContent")


def test_structure_is_in_the_middle_of_its_picture(visit, pages):
    browser = visit(pages["job"])
    edges = browser.execute_async_script(MARGINS, picture(browser, "#viewer"))
    left, right, top, bottom = edges
    assert abs(left - right) < 0.1
    assert abs(top - bottom) < 0.1
    assert 0 < min(edges) < 0.1


def test_partial_results_say_what_is_missing(visit, pages):
    browser = visit(pages["partial"])
    banner = browser.find_element(By.CSS_SELECTOR, ".banner.warn").text
    assert "model.cif: no column _atom_site.label_atom_id" in banner
    assert "confidences.json: broken JSON at line 1" in banner
    assert "No structure to show" in browser.find_element(By.ID, "no-viewer").text
    press(browser, Keys.ARROW_RIGHT)
    wait_shown(browser, "1")
    assert differing(browser, picture(browser, "#pae")) > 1000


def test_batch_sorts_searches_and_links(visit, pages):
    browser = visit(pages["batch"])

    def names():
        links = browser.find_elements(By.CSS_SELECTOR, "#jobs tbody th a")
        return [link.get_property("textContent") for link in links]

    assert "predict nothing" in browser.find_element(By.CSS_SELECTOR, ".banner.loud").text
    browser.find_element(By.CSS_SELECTOR, "[data-key=tokens]").click()
    assert names()[1:] == ["job_2", "job_1", "job_0"]
    browser.find_element(By.CSS_SELECTOR, "[data-key=tokens]").send_keys(Keys.ENTER)
    assert names()[:3] == ["job_0", "job_1", "job_2"]
    browser.find_element(By.ID, "search").send_keys("JOB_1")
    assert names() == ["job_1"]
    browser.find_element(By.CSS_SELECTOR, "#jobs tbody a").click()
    wait_shown(browser, "0")
    assert browser.find_element(By.ID, "name").text == "job_1"


def test_hostile_name_stays_text_and_synthetic_weights_are_loud(visit, pages):
    browser = visit(pages["batch"])
    (link,) = [
        link
        for link in browser.find_elements(By.CSS_SELECTOR, "#jobs th a")
        if link.get_property("textContent") == HOSTILE_NAME
    ]
    link.click()
    wait_shown(browser, "0")
    assert browser.find_element(By.ID, "name").text == HOSTILE_NAME
    assert "predicts nothing" in browser.find_element(By.CSS_SELECTOR, ".banner.loud").text
    assert browser.execute_script("return window.hacked") is None
    assert browser.find_elements(By.TAG_NAME, "img") == []
