"""The page of a screen: twenty rows on a screen, a plot, pictures, remarks on request."""

import json

import pytest

from af3opt.report import write_batch_report
from tests.report.browsing import (
    NEEDS_BROWSER,
    ActionChains,
    By,
    Keys,
    Select,
    WebDriverWait,
    differing,
    picture,
)
from tests.report.synthetic_job import SyntheticJob, write_job

pytestmark = NEEDS_BROWSER
JOBS = 30
LONG_NAME = "kinase_domain_of_a_target__binder_of_the_third_round_{:02d}"
ROWS_IN_SIGHT = """
  const box = document.getElementById("rows").getBoundingClientRect();
  const head = document.querySelector("#jobs thead th").getBoundingClientRect().bottom;
  const bottom = Math.min(box.bottom, window.innerHeight);
  return [...document.querySelectorAll("#jobs tbody tr")].filter((row) => {
    const { top, bottom: end } = row.getBoundingClientRect();
    return top >= head - 1 && end <= bottom + 1;
  }).length;
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("screen")
    for index in range(JOBS):
        name = LONG_NAME.format(index)
        job = write_job(root, SyntheticJob(name, residues=20, samples=1))
        path = job / "seed-1_sample-0" / f"{name}_seed-1_sample-0_summary_confidences.json"
        summary = json.loads(path.read_text())
        summary |= {"iptm": round(0.3 + 0.02 * index, 2), "ptm": round(0.9 - 0.02 * index, 2)}
        path.write_text(json.dumps(summary))
        (job / f"{name}_ranking_scores.csv").write_text(
            f"seed,sample,ranking_score\n1,0,{0.2 + 0.02 * index:.2f}\n"
        )
    (root / LONG_NAME.format(0) / f"{LONG_NAME.format(0)}_model.cif").unlink()
    failures = [{"name": LONG_NAME.format(0), "reason": "not enough memory: 90 GB are needed"}]
    (root / "failed.json").write_text(json.dumps(failures))
    return write_batch_report(root)


@pytest.fixture
def sized(browser, visit):
    """Opens a page in a window of a given size."""

    def opened(page, width, height):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        return visit(page)

    yield opened
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def names(browser):
    return [
        a.get_property("textContent") for a in browser.find_elements(By.CSS_SELECTOR, "#jobs th a")
    ]


def gallery(browser):
    return [
        a.get_property("textContent") for a in browser.find_elements(By.CSS_SELECTOR, "#gallery a")
    ]


def wait_drawn(browser):
    def drawn(driver):
        return differing(driver, picture(driver, "#gallery li .picture")) > 200

    WebDriverWait(browser, 20).until(drawn)


def test_twenty_rows_and_every_column_fit_on_a_screen_of_1400_by_900(sized, page):
    browser = sized(page, 1400, 900)
    assert browser.execute_script(ROWS_IN_SIGHT) >= 20
    assert (
        browser.execute_script(
            "const box = document.getElementById('rows'); return box.scrollWidth - box.clientWidth"
        )
        == 0
    )
    heads = [head.text for head in browser.find_elements(By.CSS_SELECTOR, "#jobs thead th")]
    assert heads[0] == "Job"
    assert heads[-1] == "Remarks"


def test_narrow_screen_needs_no_sideways_scrolling(sized, page):
    browser = sized(page, 600, 900)
    for element in ("document.documentElement", "document.getElementById('rows')"):
        assert browser.execute_script(f"return {element}.scrollWidth - {element}.clientWidth") == 0
    heads = [head.text for head in browser.find_elements(By.CSS_SELECTOR, "#jobs thead th")]
    assert [head for head in heads if head][-1] == "Remarks"
    browser.execute_script("document.getElementById('rows').scrollIntoView()")
    assert browser.execute_script(ROWS_IN_SIGHT) >= 20


def test_remarks_are_counted_and_shown_in_full_on_a_click(sized, page):
    browser = sized(page, 1400, 900)
    browser.find_element(By.ID, "only-problems").click()
    assert names(browser) == [LONG_NAME.format(0)]
    button = browser.find_element(By.CSS_SELECTOR, "#jobs .remark button")
    assert button.text == "failed, 1 remark"
    assert "90 GB" not in browser.find_element(By.ID, "jobs").text
    button.click()
    details = [e.text for e in browser.find_elements(By.CSS_SELECTOR, "#jobs .details li")]
    assert details[0] == "failed: not enough memory: 90 GB are needed"
    assert details[1].startswith(f"{LONG_NAME.format(0)}_model.cif: missing")
    again = browser.switch_to.active_element
    assert again.get_attribute("aria-expanded") == "true"
    again.click()
    assert browser.find_elements(By.CSS_SELECTOR, "#jobs .details") == []


def test_first_rows_have_a_picture_in_the_order_of_the_table(sized, page):
    browser = sized(page, 1400, 900)
    wait_drawn(browser)
    assert gallery(browser) == names(browser)[:4] == [LONG_NAME.format(i) for i in (29, 28, 27, 26)]
    browser.find_element(By.CSS_SELECTOR, "[data-key=ptm]").click()
    wait_drawn(browser)
    assert gallery(browser) == [LONG_NAME.format(i) for i in (0, 1, 2, 3)]
    assert browser.find_element(By.CSS_SELECTOR, "#gallery li small").text == "pTM 0.90"
    before = picture(browser, "#gallery li .picture")
    Select(browser.find_element(By.ID, "palette")).select_by_value("safe")
    wait_drawn(browser)
    assert differing(browser, before, picture(browser, "#gallery li .picture")) > 100


def test_any_two_scores_can_be_plotted_and_a_point_leads_to_its_row(sized, page):
    browser = sized(page, 1400, 900)
    before = picture(browser, "#scatter")
    Select(browser.find_element(By.ID, "score-x")).select_by_value("ptm")
    Select(browser.find_element(By.ID, "score-y")).select_by_value("iptm")
    assert differing(browser, before, picture(browser, "#scatter")) > 500
    canvas = browser.find_element(By.ID, "scatter")
    canvas.send_keys(Keys.ARROW_RIGHT)
    status = browser.find_element(By.ID, "status")
    assert status.text == f"{LONG_NAME.format(29)}: pTM 0.32, ipTM 0.88"
    for _ in range(28):
        canvas.send_keys(Keys.ARROW_RIGHT)
    canvas.send_keys(Keys.ENTER)
    chosen = browser.find_element(By.CSS_SELECTOR, "#jobs tr[data-chosen]")
    assert chosen.get_attribute("data-job") == LONG_NAME.format(1)
    in_sight = browser.execute_script("""
      const [row, box] = [arguments[0], document.getElementById("rows")]
        .map((node) => node.getBoundingClientRect());
      return row.top >= box.top - 1 && row.bottom <= box.bottom + 1;
    """, chosen)  # fmt: skip
    assert in_sight
    assert gallery(browser)[0] == LONG_NAME.format(1)


def test_pointer_names_a_point_and_a_row_is_found_in_the_plot(sized, page):
    browser = sized(page, 1400, 900)
    browser.find_elements(By.CSS_SELECTOR, "#jobs tbody td.number")[0].click()
    ringed = picture(browser, "#scatter")
    browser.find_elements(By.CSS_SELECTOR, "#jobs tbody td.number")[0].click()
    plain = picture(browser, "#scatter")
    assert differing(browser, ringed, plain) > 20
    canvas = browser.find_element(By.ID, "scatter")
    # The middle of the plot's bottom line: all jobs have an ipSAE close to 0.
    move = ActionChains(browser)
    for offset in range(0, 90, 8):
        move.move_to_element_with_offset(canvas, offset, 70)
    move.perform()
    assert ": ipTM 0." in browser.find_element(By.ID, "tooltip").get_attribute("textContent")


def test_search_leaves_other_points_faint(sized, page):
    browser = sized(page, 1400, 900)
    before = picture(browser, "#scatter")
    browser.find_element(By.ID, "search").send_keys("round_07")
    assert names(browser) == [LONG_NAME.format(7)]
    assert gallery(browser) == [LONG_NAME.format(7)]
    assert differing(browser, before, picture(browser, "#scatter")) > 100
