"""What the tests in a browser share: Debian's Chromium, software WebGL, no network."""

import base64
import json
import shutil

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

__all__ = ["ActionChains", "By", "Keys", "Select", "Service", "WebDriverWait"]
CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NEEDS_BROWSER = [
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
