"""A web page in Chromium uses the API: with the default `AllowedOrigin`, and with the page's own.

Only in `make test-all`. Without Debian's Chromium the tests are skipped.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local.settings import Settings
from tests import rings
from tests.integration.live import Api, Json, Stack, call_stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = rings.THOROUGH
SECOND = 35  # above the ports of the stack's own: a stack whose `AllowedOrigin` is one page
# Lists videos, downloads one, uploads a clip, and makes a mistake. Returns what a page can see of it.
SCRIPT = """async ([base, key, video, clip]) => {
  const authorized = {headers: {Authorization: `Bearer ${key}`, 'Content-Type': 'application/json'}}
  const list = await fetch(`${base}/videos`, authorized)
  const film = await fetch(`${base}/videos/${video}/content`, authorized)
  const bytes = new Uint8Array(await film.arrayBuffer())
  const mistake = await fetch(`${base}/videos`, {method: 'POST', ...authorized, body: '{"prompt": 5}'})
  const unknown = await fetch(`${base}/nothing`, {headers: {}})
  const data = Uint8Array.from(atob(clip), one => one.charCodeAt(0))
  const wish = {purpose: 'video', filename: 'luna.mp4', mime_type: 'video/mp4', bytes: data.length}
  const order = await fetch(`${base}/videos/uploads`, {method: 'POST', ...authorized, body: JSON.stringify(wish)})
  const made = await order.json()
  const form = new FormData()
  for (const [name, value] of Object.entries(made.upload.fields)) form.append(name, value)
  form.append('file', new Blob([data]))
  const sent = await fetch(made.upload.url, {method: 'POST', body: form})
  return {
    listed: list.status, request_id: list.headers.get('x-request-id'),
    redirected: film.redirected, film: film.status, size: bytes.length, kind: String.fromCharCode(...bytes.slice(4, 8)),
    mistake: mistake.status, mistake_id: mistake.headers.get('x-request-id'),
    unknown: unknown.status, unknown_id: unknown.headers.get('x-request-id'),
    sent: sent.status, etag: sent.headers.get('etag'),
  }
}"""


class _Blank(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>page</title>")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def _serve() -> Iterator[str]:
    """Serve a blank page at an origin of its own, and yield the origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Blank)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def home() -> Iterator[str]:
    """The origin that the second stack allows."""
    yield from _serve()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """Another origin."""
    yield from _serve()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed: `make test-all` installs it where it may (Debian, root)")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield running
        running.close()


@pytest.fixture(scope="module")
def strict(stack: Stack, home: str) -> Iterator[Stack]:
    """A stack whose `AllowedOrigin` is `home`."""
    settings = Settings(stack.settings.port + SECOND)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALLOWED_ORIGIN", home)
        call_stack("up", settings)
        yield Stack(settings, settings.facts()["key"], "")
        call_stack("reset", settings)


@pytest.fixture(scope="module")
def open_page(browser: Browser) -> Iterator[Any]:
    """Open the blank page of an origin."""
    pages: list[Page] = []

    def open_page(origin: str) -> Page:
        pages.append(browser.new_page())
        pages[-1].goto(origin)
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()


def _use(page: Page, stack: Stack, clip: Path) -> Json:
    import base64

    video = Api(stack.base_url, stack.key).finished(model="solo", prompt="for a web page")["id"]
    return dict(page.evaluate(SCRIPT, [stack.base_url, stack.key, video, base64.b64encode(clip.read_bytes()).decode()]))


def _is_whole(seen: Json) -> None:
    assert (seen["listed"], seen["film"], seen["mistake"], seen["unknown"]) == (200, 200, 400, 404)
    assert seen["redirected"] and seen["size"] > 1000 and seen["kind"] == "ftyp"
    assert seen["request_id"] and seen["mistake_id"] and seen["unknown_id"]
    assert seen["sent"] in {200, 201, 204} and seen["etag"]


def test_any_page_by_default(open_page: Any, stack: Stack, elsewhere: str, luna_clip: Path) -> None:
    _is_whole(_use(open_page(elsewhere), stack, luna_clip))


def test_the_allowed_page(open_page: Any, strict: Stack, home: str, luna_clip: Path) -> None:
    """The download follows a redirect to the bucket with `Origin: null`."""
    _is_whole(_use(open_page(home), strict, luna_clip))


def test_another_page(open_page: Any, strict: Stack, elsewhere: str, luna_clip: Path) -> None:
    with pytest.raises(Exception, match="Failed to fetch"):
        _use(open_page(elsewhere), strict, luna_clip)
