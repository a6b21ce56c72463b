"""The pages in a real browser: Debian's Chromium, software WebGL, no network."""

import base64
import json
import shutil
from pathlib import Path

import pytest

from af3opt.report import write_batch_report, write_report
from tests.report.synthetic_job import SyntheticJob, write_job
from tests.scores.batches import write_job as write_scored_job
from tests.scores.models import protein_dna

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and CHROMEDRIVER), reason="no chromium and chromedriver on PATH"
    ),
]
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--window-size=1300,1400",
)  # fmt: skip
HOSTILE_NAME = '"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
# Counts pixels of one PNG that differ from another, or from the first one's corner.
COUNT_PIXELS = """
const [first, second, done] = arguments;
const read = async (data) => {
  const picture = new Image();
  picture.src = "data:image/png;base64," + data;
  await picture.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.width, picture.height];
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  return new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
};
(async () => {
  const a = await read(first);
  const b = second ? await read(second) : null;
  let count = 0;
  for (let i = 0; i < a.length; i++) count += a[i] !== (b ? b[i] : a[0]);
  done(count);
})();
"""


# Empty margins of a PNG as shares of its size: left, right, top, bottom.
MARGINS = """
const [data, done] = arguments;
const picture = new Image();
picture.src = "data:image/png;base64," + data;
picture.decode().then(() => {
  const { width, height } = picture;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const x = [];
  const y = [];
  pixels.forEach((pixel, i) => {
    if (pixel === pixels[0]) return;
    x.push(i % width);
    y.push(Math.floor(i / width));
  });
  const least = (values) => values.reduce((a, b) => Math.min(a, b));
  const most = (values) => values.reduce((a, b) => Math.max(a, b));
  done([least(x) / width, 1 - most(x) / width, least(y) / height, 1 - most(y) / height]);
});
"""


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


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def visit(browser):
    """Opens a page afresh; afterwards nothing may have been logged or fetched."""

    def opened(page: Path, scheme: str = "light"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get(page.as_uri())
        browser.execute_script("localStorage.clear()")
        browser.refresh()
        wait_shown(browser)
        return browser

    browser.get_log("performance")
    browser.get_log("browser")
    yield opened
    complaints = [
        entry for entry in browser.get_log("browser") if "ReadPixels" not in entry["message"]
    ]
    assert complaints == []
    assert [
        url for url in requests(browser) if not url.startswith(("file:", "data:", "blob:"))
    ] == []


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


def requests(browser) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [params["request"]["url"] for params in sent]


def wait_shown(browser, value=None):
    def shown(driver):
        now = driver.execute_script("return document.body.dataset.shown")
        return now is not None if value is None else now == value

    WebDriverWait(browser, 30).until(shown)


def picture(browser, selector: str) -> str:
    return base64.b64encode(
        browser.find_element(By.CSS_SELECTOR, selector).screenshot_as_png
    ).decode()


def differing(browser, first: str, second: str | None = None) -> int:
    return browser.execute_async_script(COUNT_PIXELS, first, second)


def press(browser, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


def status(browser) -> str:
    return browser.find_element(By.ID, "status").text


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
    for _ in range(12):
        press(browser, Keys.TAB)
        active = browser.switch_to.active_element
        seen.append(active.get_attribute("id") or active.get_attribute("name"))
    expected = [
        "palette", "theme", "sample", "colour-by", "side-chains", "reset", "picture", "viewer",
        "pae", "plddt",
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
        return [e.text for e in browser.find_elements(By.CSS_SELECTOR, "#jobs tbody th a")]

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
    link = browser.find_element(By.PARTIAL_LINK_TEXT, "onerror")
    assert link.text == HOSTILE_NAME
    link.click()
    wait_shown(browser, "0")
    assert browser.find_element(By.ID, "name").text == HOSTILE_NAME
    assert "predicts nothing" in browser.find_element(By.CSS_SELECTOR, ".banner.loud").text
    assert browser.execute_script("return window.hacked") is None
    assert browser.find_elements(By.TAG_NAME, "img") == []
