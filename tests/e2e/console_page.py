"""The web console in Debian's Chromium, as the tests see it: its address, its figures as numbers, and what went wrong in it."""
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 60_000  # of waits that end as soon as they can, on machines that compile beside
DEV_SERVER = Path(__file__).resolve().parents[2] / "tools/console_dev.py"
UNITS = {"": 1, "%": 0.01, "µs": 1e-6, "ms": 1e-3, "s": 1, "/s": 1, "k": 1e3, "M": 1e6, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
# Endpoints answer 404 where a feature is off, and 401 before there is a key: browsers log that, and views say it.
ANSWERED = re.compile(r"Failed to load resource")


@contextmanager
def browser():
    """Chromium, whose sandbox does not work for root."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield chromium
        chromium.close()


@contextmanager
def dev_server(url):
    """tools/console_dev.py before `url`; gives its address."""
    process = subprocess.Popen([sys.executable, str(DEV_SERVER), url, "--port", "0", "--as-is"], stdout=subprocess.PIPE, text=True)
    try:
        yield urlsplit(process.stdout.readline().split()[-1])._replace(path="").geturl()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def number(text):
    """"35.5 ms" is 0.0355; a dash is None."""
    match = re.fullmatch(r"(-?[\d.,]+)\s*(\S*)", text.strip())
    return float(match[1].replace(",", "")) * UNITS[match[2]] if match else None


class Console:
    """One page, with what it logged and whom it asked."""

    def __init__(self, chromium, url, view="overview", width=1280, height=800, **options):
        self.url = url
        self.problems = []
        self.asked = []
        self.context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(f"{url}/console#{view}")

    def _hear(self, message):
        if message.type in ("error", "warning") and not ANSWERED.search(message.text):
            self.problems.append(message.text)

    def open(self, view):
        self.page.evaluate("hash => { location.hash = hash; }", view)
        self.page.wait_for_selector(f"[data-view={re.match('[a-z]*', view)[0]}]")

    def text(self, selector):
        return self.page.locator(selector).first.inner_text()

    def texts(self, selector):
        return self.page.locator(selector).all_inner_texts()

    def wait_for(self, condition, argument=None):
        """Until a JavaScript expression, of `argument`, is true. The page's policy forbids texts that are no function."""
        self.page.wait_for_function(f"argument => {condition}", arg=argument)

    def wait_for_text(self, text, selector="main"):
        self.wait_for("document.querySelector(argument[0])?.textContent.includes(argument[1])", [selector, text])

    def figure(self, name):
        return number(self.text(f"[data-figure='{name}']"))

    def overflow(self):
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def close(self):
        """Ends it, and holds it to what every page must keep: no errors, no stranger asked."""
        strangers = [url for url in self.asked if not url.startswith(self.url + "/") and not url.startswith("blob:")]
        self.context.close()
        assert not self.problems, self.problems
        assert not strangers, strangers
