"""A browser for the tests of pages."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    # Imported late: without selenium only the tests that need it are skipped.
    from tests.report import browsing

    options = browsing.webdriver.ChromeOptions()
    options.binary_location = browsing.CHROMIUM
    for flag in (*browsing.FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = browsing.webdriver.Chrome(
        options=options, service=browsing.Service(browsing.CHROMEDRIVER)
    )
    yield driver
    driver.quit()


@pytest.fixture
def visit(browser):
    """Opens a page afresh; afterwards nothing may have been logged or fetched."""
    from tests.report.browsing import requests, wait_shown

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
    # The browser reads pages of its own while it starts.
    own = ("file:", "data:", "blob:", "chrome:", "chrome-untrusted:")
    assert [url for url in requests(browser) if not url.startswith(own)] == []
