"""`/docs`: every file of the page comes from this server, and no script runs that is not a file."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

CHROMIUM = shutil.which("chromium")


class References(HTMLParser):
    """The addresses that a page refers to, and the scripts and styles inside it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses, self.inline, self._within = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self._within = tag
        self.addresses += [value for name, value in attributes if name in ("src", "href", "action", "data")]
        self.inline += [name for name, _ in attributes if name.startswith("on") or name == "style"]

    def handle_endtag(self, tag):
        self._within = ""

    def handle_data(self, data):
        if self._within in ("script", "style") and data.strip():
            self.inline.append(data)


def test_the_page_s_files_all_come_from_this_server(url):
    page = httpx.get(f"{url}/docs")
    assert page.headers["content-type"].startswith("text/html")
    references = References(page.text)
    assert len(references.addresses) == 4
    assert not references.inline
    for address in references.addresses:
        assert not urlsplit(address).netloc
        assert httpx.get(urljoin(f"{url}/docs", address)).status_code == 200
    types = {name: httpx.get(f"{url}/docs/{name}").headers["content-type"].partition(";")[0] for name in (
        "start.js", "swagger-ui-bundle.js", "swagger-ui.css",
    )}  # fmt: skip
    assert list(types.values()) == ["text/javascript", "text/javascript", "text/css"]


def test_the_page_s_policy_allows_no_other_host_and_no_inline_script(url):
    page = httpx.get(f"{url}/docs")
    (policy,) = page.headers.get_list("content-security-policy")
    directives = {name: values for name, *values in (part.split() for part in policy.split(";"))}
    assert directives["default-src"] == ["'none'"]
    assert directives["script-src"] == directives["connect-src"] == ["'self'"]
    assert {value for values in directives.values() for value in values} <= {"'none'", "'self'", "data:"}
    assert "data:" not in directives["script-src"]
    assert page.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("path", ["/docs/main.py", "/docs/..%2fmain.py", "/docs/oauth2-redirect", "/redoc"])
def test_nothing_else_is_served_as_documentation(url, path):
    assert httpx.get(url + path).status_code in (401, 404)


@pytest.mark.slow
def test_a_browser_shows_the_page_and_asks_no_other_server(url, tmp_path):
    if CHROMIUM is None:
        pytest.skip("no Chromium: `apt-get install chromium` provides it")
    log = tmp_path / "net.json"
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--no-first-run", "--enable-logging=stderr",
        f"--log-net-log={log}", "--virtual-time-budget=10000", "--dump-dom", f"{url}/docs",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert "/v1/chat/completions" in re.sub(r"<[^>]*>|\u200b", "", done.stdout)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not [line for line in console if "Content Security Policy" in line or "Error" in line], console
    assert hosts_asked(log, url) == {urlsplit(url).netloc}


def hosts_asked(log: Path, url: str) -> set[str]:
    """The hosts of the page's own requests; Chromium's requests for itself, which no page started, are left out."""
    events = json.loads(log.read_text())["events"]
    asked = [event["params"] for event in events if "initiator" in event.get("params", {})]
    return {urlsplit(request["url"]).netloc for request in asked if request["initiator"].startswith(url)}
