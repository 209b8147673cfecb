"""The common behaviour of all HTTP functions, tested on a function of the test's own."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.fakes.clock import Clock
from tests.fakes.stage import Context
from understudy.api import endpoint
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.api.requests import RemixVideo
from understudy.errors import InvalidRequest

pytestmark = pytest.mark.usefixtures("aws_stack", "clock")

CALLER = {"team": "blue", "key_id": "k", "scopes": "a b", "models": ""}
PATH = "/things/{thing_id}/parts/{part_id}"


@Endpoint("POST", PATH)
def handler(call: Call) -> Response:
    """Return what the endpoint passed to this function."""
    return Response(
        {
            "team": call.caller.team,
            "scopes": sorted(call.caller.scopes),
            "fields": {name: repr(value) for name, value in call.fields.items()},
            "ids": [call.text("thing_id"), call.text("part_id"), call.text("none")],
            "query": call.query,
            "header": call.headers.get("x-some-header"),
            "deadline": call.deadline,
        },
        headers={"x-more": "1"},
    )


def ask(**changes: Any) -> tuple[int, dict[str, str], Any]:
    event = {
        "resource": PATH,
        "path": "/things/1/parts/2",
        "httpMethod": "POST",
        "headers": {"Content-Type": "application/json"},
        "pathParameters": {"thing_id": "1", "part_id": "2"},
        "queryStringParameters": None,
        "requestContext": {"requestId": "req-1", "authorizer": CALLER},
        "body": None,
        "isBase64Encoded": False,
        **changes,
    }
    answer = handler(event, Context(28_000))  # type: ignore[arg-type]
    headers = {name.lower(): values[0] for name, values in answer["multiValueHeaders"].items()}
    return answer["statusCode"], headers, json.loads(answer["body"])


def test_what_a_function_sees(clock: Clock) -> None:
    status, headers, told = ask(
        headers={"X-Some-HEADER": "v", "content-type": "application/json"},
        queryStringParameters={"limit": "5"},
        body='{"prompt": "é"}',
    )
    assert (status, headers["x-more"], headers["x-request-id"]) == (200, "1", "req-1")
    assert told == {
        "team": "blue",
        "scopes": ["a", "b"],
        "fields": {"prompt": "'é'"},
        "ids": ["1", "2", ""],
        "query": {"limit": "5"},
        "header": "v",
        "deadline": clock.now + 28 - endpoint.MARGIN_SECONDS,
    }


def test_a_body_may_come_encoded() -> None:
    """A body in base64 is decoded; the gateway sends forms in this way."""
    body = base64.b64encode('{"prompt": "é"}'.encode()).decode()
    assert ask(body=body, isBase64Encoded=True)[2]["fields"] == {"prompt": "'é'"}


@pytest.mark.parametrize("changes", [{"body": None}, {"body": ""}, {"headers": None}, {"headers": {}, "body": None}])
def test_no_body_has_no_fields(changes: dict[str, Any]) -> None:
    assert ask(**changes)[2]["fields"] == {}


@pytest.mark.parametrize("changes", [{"body": "???", "isBase64Encoded": True}, {"body": "\ud800"}])
def test_a_body_that_is_not_what_it_says(changes: dict[str, Any]) -> None:
    status, _, told = ask(**changes)
    assert (status, told["error"]["code"]) == (400, "malformed_body")


@pytest.mark.parametrize(
    "thing",
    ["a b", "ü", "😀", 'a"b', "a#b", "a?b", "a\\b", "a\nb", "..", "", "a/b", "\0", "%", "%2F", "+", "<x>", "{x}"],
)
def test_ids_of_any_characters_reach_the_function(thing: str) -> None:
    """Ids of any characters reach the function, which then decides that they are unknown.

    API Gateway hands path parameters on as the client encoded them. They are decoded once.
    """
    sent = quote(thing, safe="")
    status, _, told = ask(path=f"/things/{sent}/parts/2", pathParameters={"thing_id": sent, "part_id": "2"})
    assert (status, told["ids"][0]) == (200, thing)


@pytest.mark.parametrize(("sent", "thing"), [("100%", "100%"), ("%zz", "%zz"), ("%ff", "\ufffd"), ("a:b", "a:b")])
def test_ids_that_are_not_well_encoded_reach_it_too(sent: str, thing: str) -> None:
    assert ask(pathParameters={"thing_id": sent, "part_id": "2"})[2]["ids"][0] == thing


@pytest.mark.parametrize("changes", [{"resource": "/other", "path": "/other"}, {"httpMethod": "DELETE"}])
def test_another_route(changes: dict[str, Any]) -> None:
    status, headers, told = ask(**changes)
    assert (status, told["error"]["code"], headers["x-request-id"]) == (404, "unknown_url", "req-1")


def test_a_browser_is_told_who_may_read() -> None:
    _, headers, _ = ask(headers={"Origin": "https://app.example"})
    assert headers["access-control-allow-origin"] == "*"


def test_a_browser_may_read_what_clients_act_on() -> None:
    """A client that cannot read x-should-retry repeats a call that may have been carried out."""
    _, headers, _ = ask()
    safelisted = {"content-type", "cache-control"}  # Fetch standard, "CORS-safelisted response-header name"
    ours = {name for name in headers if not name.startswith("access-control-")} - safelisted
    assert set(headers["access-control-expose-headers"].split(", ")) == ours
    assert {"x-request-id", "x-more"} <= ours


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (None, (20, True, None)),
        ({"limit": "100", "order": "asc"}, (100, False, None)),
        ({"limit": "0", "order": "desc", "after": ""}, (0, True, None)),
    ],
)
def test_paging(query: dict[str, str] | None, expected: tuple[int, bool, None]) -> None:
    from understudy.ids import Kind

    assert _call(queryStringParameters=query).paging(Kind.VIDEO) == expected


def test_a_typed_body() -> None:
    assert _call(body='{"prompt": "x"}').body(RemixVideo).prompt == "x"


def _call(**changes: Any) -> Call:
    event = {"headers": {}, "requestContext": {"authorizer": CALLER}, **changes}
    return Call(event, Context(), None)  # type: ignore[arg-type]


def _body(answer: Any) -> str:
    def function(_: Call) -> Response:
        if isinstance(answer, Exception):
            raise answer
        return Response(answer)

    event = {"resource": "/x", "httpMethod": "GET", "requestContext": {"authorizer": CALLER}}
    body: str = Endpoint("GET", "/x")(function)(event, Context())["body"]  # type: ignore[arg-type]
    return body


@pytest.mark.parametrize("text", ["a fox", "狐狸", "😀", "ü"])
def test_text_is_sent_as_it_is(text: str) -> None:
    """An escape of Chinese takes twice as many bytes, and Lambda limits the bytes of a response."""
    assert _body({"prompt": text}) == f'{{"prompt": "{text}"}}'
    assert text in _body(InvalidRequest(text, param=text))


@pytest.mark.parametrize("answer", [{"prompt": "a\ud83d"}, InvalidRequest("Not this: a\ud83d.")])
def test_half_a_surrogate_pair_can_be_sent(answer: Any) -> None:
    assert b"a\\ud83d" in _body(answer).encode()
