"""Malicious bodies: bounded work, little memory, a clear refusal, and no request to a provider."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.parse
from typing import Any

import multipart  # type: ignore[import-untyped]
import pytest

from tests.fakes.stage import ROOT, Context, Stage, load
from tests.fakes.upstream import Upstream
from tests.unit.api import test_bodies
from understudy.api import bodies, requests
from understudy.api.text import STATUS

#: id -> body, content type, code: the unit tests' table, up to 10 MB a body.
TABLE: dict[str, tuple[bytes, str | None, str]] = {
    case.id: case.values for case in test_bodies.test_refusals_are_cheap.pytestmark[0].args[1]
}
MEMORY = 64 * 2**20  # beside the body itself: a Lambda has 512 MiB

UNDER_LIMIT = """
import resource, sys
from tests.security.test_bodies import TABLE
from understudy.api import bodies
from understudy.api.text import BodyError

size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[1]),) * 2)
for body, content_type, code in TABLE.values():
    try:
        bodies.parse(body, content_type)
    except BodyError as error:
        assert error.code == code
        print(code)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_body_needs_much_memory() -> None:
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'understudy'}", "POWERTOOLS_SERVICE_NAME": "understudy"}
    command = [sys.executable, "-c", UNDER_LIMIT, str(MEMORY)]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout.split() == [code for _, _, code in TABLE.values()]


class Passes:
    """Counts the bytes or characters that each reader of a body has read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: dict[str, int] = {}
        push, loads, parse_qsl, token = multipart.PushMultipartParser, json.loads, urllib.parse.parse_qsl, bodies._TOKEN
        passes = self

        class Parser(push):  # type: ignore[misc, valid-type]
            def parse(self, chunk: bytes) -> Any:
                passes.add("parts", len(chunk))
                return super().parse(chunk)

        class Token:
            def finditer(self, text: str) -> Any:
                for found in token.finditer(text):
                    passes.add("tokens", len(found[0]))
                    yield found

        def counted(name: str, read: Any) -> Any:
            def reader(text: str, *arguments: Any, **options: Any) -> Any:
                passes.add(name, len(text))
                return read(text, *arguments, **options)

            return reader

        monkeypatch.setattr(multipart, "PushMultipartParser", Parser)
        monkeypatch.setattr(bodies, "_TOKEN", Token())
        monkeypatch.setattr(json, "loads", counted("JSON", loads))
        monkeypatch.setattr(urllib.parse, "parse_qsl", counted("pairs", parse_qsl))

    def add(self, name: str, count: int) -> None:
        self.seen[name] = self.seen.get(name, 0) + count


@pytest.mark.parametrize(("body", "content_type", "code"), TABLE.values(), ids=TABLE)
def test_no_reader_goes_over_a_body_twice(
    monkeypatch: pytest.MonkeyPatch, body: bytes, content_type: str | None, code: str
) -> None:
    passes = Passes(monkeypatch)
    assert test_bodies.refusal(body, content_type).code == code
    assert all(count <= len(body) for count in passes.seen.values()), passes.seen
    assert passes.seen.keys() <= {"parts", "tokens", "JSON", "pairs"}


def test_the_readers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reader sees every byte exactly once of a body that is read to its end."""
    passes = Passes(monkeypatch)
    texts = ['["%s"]' % ("x" * 9000)] * 3
    form = test_bodies.form(*[test_bodies.text(f"characters[{n}]", text) for n, text in enumerate(texts)])
    assert len(bodies.parse(form, test_bodies.MULTIPART)["characters"]) == 3  # type: ignore[arg-type]
    assert passes.seen == {"parts": len(form), "tokens": sum(map(len, texts)), "JSON": sum(map(len, texts))}
    bodies.parse(b"a=1&b=2", test_bodies.URLENCODED)
    assert passes.seen["pairs"] == 7


def test_the_whole_api_refuses_them(stage: Stage, upstream: Upstream) -> None:
    for name, (body, content_type, code) in TABLE.items():
        reply = stage.call("create_video", raw=body, headers={"content-type": content_type} if content_type else {})
        assert (reply.status, reply.error["code"]) == (STATUS[code], code), name
    assert upstream.heard == []
    assert stage.executions.started == []


@pytest.mark.parametrize("body", ["!", "eyJ", "eyJ9=", "{}", "é", "\ud800"])
def test_base64_that_is_not(stage: Stage, upstream: Upstream, body: str) -> None:
    """A body that is not valid base64 is refused; no gateway sends one."""
    event = {
        "resource": "/videos",
        "path": "/videos",
        "httpMethod": "POST",
        "headers": {"content-type": "application/json"},
        "multiValueHeaders": {},
        "requestContext": {"requestId": "r", "authorizer": stage.caller.context()},
        "body": body,
        "isBase64Encoded": True,
    }
    answer = load("create_video").handler(event, Context())
    assert (answer["statusCode"], json.loads(answer["body"])["error"]["code"]) == (400, "malformed_body")
    assert upstream.heard == []


class TestMassAssignment:
    """No field of a body chooses a host, a deployment, an owner or a price."""

    NAMES = """
    api_base base_url api_key deployment provider team owner user_id key_id price micro_dollars hold state status id
    upstream_id callback_url webhook __class__ constructor litellm_params fallbacks model_id scopes record run
    touched_at unfinished
    """

    @pytest.mark.parametrize("name", NAMES.split())
    def test_is_refused(self, stage: Stage, upstream: Upstream, name: str) -> None:
        for reply in (
            stage.create(model="solo", **{name: "https://evil.example/"}),
            stage.call("create_video", form=[("prompt", "x"), ("model", "solo"), (name, "https://evil.example/")]),
        ):
            assert (reply.status, reply.error["code"]) == (400, "unknown_parameter"), reply
        assert upstream.heard == []

    def test_what_clients_add_on_their_own_is_dropped(self, stage: Stage, upstream: Upstream) -> None:
        for name in sorted(requests.IGNORED):
            form = [("prompt", "x"), ("model", "solo"), (f"{name}[api_base]", "https://evil.example/")]
            assert stage.call("create_video", form=form).status == 200
        assert upstream.heard
        assert not any("evil" in f"{one.host}{one.path}{one.headers}{one.content!r}" for one in upstream.heard)

    @pytest.mark.parametrize("provider", ["gemini", "https://evil.example", "../openai", "openai\0", "", "x" * 101])
    def test_a_provider_only_narrows(self, stage: Stage, upstream: Upstream, provider: str) -> None:
        reply = stage.create(model="solo", custom_llm_provider=provider)
        assert reply.status == 400
        assert upstream.heard == []
