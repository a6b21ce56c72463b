"""Takes README's picture of a report: `python -m tests.report.picture docs/pictures/report.png`.

The job in it is made up: its structure and scores are no prediction.
"""

import sys
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from af3opt.report import write_report
from tests.report.browsing import CHROMEDRIVER, CHROMIUM, FLAGS
from tests.report.synthetic_job import SyntheticJob, write_job

# The structure is drawn when two pictures in a row are the same.
_MOST_SECONDS = 120


def main(picture: Path) -> None:
    """Writes the upper part of a page as a PNG file."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, "--window-size=1280,1000"):
        options.add_argument(flag)
    with tempfile.TemporaryDirectory() as folder:
        page = write_report(write_job(Path(folder), SyntheticJob("complex", residues=48)))
        browser = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
        try:
            browser.get(page.as_uri())
            seen = [b""]

            def is_still(driver: webdriver.Chrome) -> bool:
                seen.append(driver.get_screenshot_as_png())
                return seen[-1] == seen[-2]

            WebDriverWait(browser, _MOST_SECONDS, poll_frequency=3).until(is_still)
            picture.write_bytes(seen[-1])
        finally:
            browser.quit()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
