"""Answers of a provider that is broken, replaced for a moment, or lies: none of them gets past the provider's file.

Whatever an operation is answered, it returns what it says it returns, or raises Refused or OutcomeUnknown. All values
are of the declared types and can be stored.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.fakes.account import BASE, KEY, media
from understudy import providers
from understudy.errors import OutcomeUnknown, ProviderError, Reason, Refused
from understudy.providers import refusals
from understudy.providers.base import Account, CastMember, NativeCharacter, Order, Progress, Provider, Source
from understudy.providers.http import Answer, Headers

OPENAI_SHAPED = {"azure", "hosted_vllm", "openai"}
MODELS = {"minimax": "MiniMax-H3", "runwayml": "seedance2", "xai": "grok-imagine-video", "kling": "kling-3.0-omni"}
FILE = f"{BASE}/file.mp4"

each = pytest.mark.parametrize("provider", [providers.load(name) for name in providers.names()], ids=providers.names())


@dataclass
class Http:
    """An HTTP client that gives every request the same answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def post(self, url: str, headers: Headers, **_: Any) -> Answer:
        return Answer(self.status, self.headers, self.body)

    post_free = get = delete = post

    @contextmanager
    def stream(self, url: str, headers: Headers) -> Iterator[tuple[int, Mapping[str, str], Iterator[bytes]]]:
        yield self.status, self.headers, iter([self.body])


Operation = Callable[[Account], Any]


def _operations(provider: Provider) -> dict[str, Operation]:
    """Return every call of the provider that asks a server, by its name."""
    model = MODELS.get(provider.name, "sora-2")
    profile = provider.profile(model, {})
    order = Order("create", model, "Luna dances", "our-reference", seconds=4, size=profile.default_size)
    clip = media()
    found: dict[str, Operation] = {
        "submit": lambda account: provider.submit(account, order),
        "poll": lambda account: provider.poll(account, "job_1"),
        "content": lambda account: _read(provider, account, Progress("job_1", "completed")),
    }
    if profile.edit:
        source = Source(clip=clip) if profile.source_by_clip else Source("job_1")
        edit = Order("edit", model, "Warmer light", "our-reference", source=source)
        found["edit"] = lambda account: provider.submit(account, edit)
    if profile.characters.reference_videos:
        cast = Order(
            "create", model, "Luna", "our-reference", 4, profile.default_size, None, (CastMember("Luna", None, clip),)
        )
        found["cast"] = lambda account: provider.submit(account, cast)
    if profile.delete:
        found["delete"] = lambda account: provider.delete(account, "job_1")
    if profile.findable:
        found["find"] = lambda account: provider.find(account, "our-reference")
    if profile.characters.native:
        still = media("still.jpg", "image/jpeg")
        found["make_character"] = lambda account: provider.make_character(account, "Luna", clip, (still,))
    if profile.characters.native_slow:
        found["poll_character"] = lambda account: provider.poll_character(account, "char_1")
    if profile.characters.findable:
        found["find_character"] = lambda account: provider.find_character(account, "char_1")
    if profile.characters.deletable:
        found["delete_character"] = lambda account: provider.delete_character(account, "char_1")
    return found


def _read(provider: Provider, account: Account, progress: Progress) -> bytes:
    with provider.open_content(account, progress) as content:
        return b"".join(content.chunks)


def ask(operation: Operation, status: int, body: Any, headers: dict[str, str] | None = None) -> Any:
    """Return what the operation returns, or the ProviderError that it raises. Any other error fails the test."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    account = Account(BASE, KEY, Http(status, data, headers or {}))
    try:
        result = operation(account)
    except ProviderError as error:
        assert isinstance(error, Refused | OutcomeUnknown)
        said = [error.message, getattr(error, "code", None), getattr(error, "param", None), error.retry_after]
        assert all(one is None or isinstance(one, str) for one in said)
        "".join(filter(None, said)).encode()  # can be stored
        assert len(error.message) <= 600
        assert error.pause >= 0
        return error
    if isinstance(result, Progress):
        _check(result)
    elif isinstance(result, NativeCharacter):
        assert isinstance(result.reference, str)
        assert 0 < len(result.reference.encode()) <= 1024
        assert type(result.ready) is bool
    else:
        assert result is None or isinstance(result, str | bytes)
    return result


def _check(progress: Progress) -> None:
    assert isinstance(progress.upstream_id, str)
    assert 0 < len(progress.upstream_id.encode()) <= 1024
    assert progress.status in {"queued", "in_progress", "completed", "failed"}
    for number in (progress.progress, progress.seconds, progress.micro_dollars):
        assert number is None or (type(number) is int and 0 <= number < 2**53)
    for text in (progress.size, progress.model, *(progress.error or ())):
        assert text is None or (isinstance(text, str) and len(text.encode()) < 4000)
    assert progress.output_url is None or (isinstance(progress.output_url, str) and progress.output_url)
    assert (progress.status == "failed") == (progress.error is not None)


def _video(status: str, **facts: Any) -> dict[str, Any]:
    video = {"id": "job_1", "object": "video", "status": status, "progress": 40, "seconds": "4", "size": "720x1280"}
    return {**video, "model": "sora-2", "error": None, **facts}


def _kling(data: Any) -> dict[str, Any]:
    return {"code": 0, "message": "SUCCEED", "request_id": "r", "data": data}


_OPENAI_GOOD = [
    _video("queued"),
    _video("completed"),
    _video("failed", error={"code": "server_error", "message": "It broke."}),
    {"id": "char_1", "name": "Luna", "created_at": 1},
]
_OPENAI_ERRORS = [
    {"error": {"message": "No.", "type": "invalid_request_error", "param": "size", "code": "bad"}},
    {"detail": [{"loc": ["body", "size"], "msg": "No.", "type": "value_error"}]},
    {"detail": "No."},
]
# Answers as the vendors' documents and the simulators have them.
GOOD: dict[str, list[Any]] = {
    **dict.fromkeys(sorted(OPENAI_SHAPED), _OPENAI_GOOD),
    "gemini": [
        {
            "id": "job_1",
            "status": "completed",
            "steps": [
                {"type": "user_input", "content": [{"type": "text", "text": "A fox"}]},
                {
                    "type": "model_output",
                    "content": [
                        {"type": "text", "text": "Here."},
                        {"type": "video", "mime_type": "video/mp4", "uri": FILE, "data": "AAAA"},
                    ],
                },
            ],
        },
        {"id": "job_1", "status": "completed", "output_video": {"mime_type": "video/mp4", "data": "AAAA"}},
        {
            "id": "job_1",
            "status": "failed",
            "error": {"code": "c", "message": "No."},
            "errors": [{"code": "c", "message": "No."}],
            "steps": [{"type": "model_output", "error": {"code": "c", "message": "No."}, "content": []}],
        },
    ],
    "kling": [
        _kling({"id": "job_1", "status": "submitted", "task_id": "job_1", "task_status": "submitted"}),
        _kling(
            [
                {
                    "id": "job_1",
                    "external_id": "our-reference",
                    "status": "succeeded",
                    "message": "",
                    "outputs": [{"type": "video", "url": FILE, "duration": "5.1"}],
                    "billing": [{"charge_type": "balance", "currency": "USD", "amount": "0.42"}],
                }
            ]
        ),
        _kling([{"id": "job_1", "external_id": "our-reference", "status": "failed", "message": "No."}]),
        _kling(
            {
                "task_id": "char_1",
                "task_status": "succeed",
                "task_status_msg": "",
                "task_result": {"elements": [{"element_id": 829384756102938475, "status": "succeed"}]},
            }
        ),
        _kling({"task_id": "char_1", "task_status": "failed", "task_status_msg": "No."}),
    ],
    "minimax": [
        {"task_id": "1", "base_resp": {"status_code": 0, "status_msg": "success"}},
        {
            "task": {
                "id": "1",
                "model": "MiniMax-H3",
                "status": "succeeded",
                "content": {"url": FILE},
                "duration": 5,
                "resolution": "768P",
                "usage": {"total_seconds": 5, "input_image_count": 7},
            }
        },
        {"task": {"id": "1", "status": "failed", "error": {"code": 1027, "message": "No."}}},
    ],
    "runwayml": [
        {"id": "job_1", "estimatedCost": {"credits": 50}},
        {"id": "job_1", "status": "RUNNING", "progress": 0.4},
        {"id": "job_1", "status": "SUCCEEDED", "output": [FILE], "cost": {"credits": 50}},
        {"id": "job_1", "status": "FAILED", "failure": "No.", "failureCode": "SAFETY.INPUT.TEXT"},
        {"uploadUrl": f"{BASE}/up", "fields": {"key": "k"}, "runwayUri": "runway://x"},
    ],
    "xai": [
        {"request_id": "job_1"},
        {"status": "pending", "progress": 40},
        {
            "status": "done",
            "video": {"url": FILE, "duration": 5, "respect_moderation": True},
            "usage": {"cost_in_usd_ticks": 5_000_000},
        },
        {"status": "failed", "error": {"code": "internal_error", "message": "No."}},
    ],
}
ERRORS: dict[str, list[Any]] = {
    **dict.fromkeys(sorted(OPENAI_SHAPED), _OPENAI_ERRORS),
    "gemini": [
        {"error": {"code": "invalid_request", "message": "No."}},
        [
            {
                "error": {
                    "code": 429,
                    "message": "No.",
                    "status": "RESOURCE_EXHAUSTED",
                    "details": [{"@type": "RetryInfo", "reason": "QUOTA", "retryDelay": "17.5s"}],
                }
            }
        ],
    ],
    "kling": [{"code": 1201, "message": "No.", "request_id": "r"}],
    "minimax": [
        {"error": {"type": "bad_request", "message": "No. (2013)", "code": 2013}},
        {"base_resp": {"status_code": 1002, "status_msg": "No."}},
    ],
    "runwayml": [{"error": "No.", "issues": [{"path": ["model"], "message": "No."}]}, {"error": "No."}],
    "xai": [
        {"error": {"code": "bad", "message": "No.", "type": "t"}},
        {"code": "bad", "error": "No."},
        {"error": "No."},
    ],
}


def _deep(depth: int) -> Any:
    found: Any = "x"
    for _ in range(depth):
        found = [found]
    return found


ODD: list[Any] = [
    *(None, [], {}, 0, "", True, -1, float("nan"), 10**40, "9" * 5000, "\ud800", [[]], [{"a": [1]}], _deep(300)),
]


def mutants(good: Any) -> Iterator[Any]:
    """Yield the answer with each of its values in turn replaced by each odd value, and with each value left out."""
    for path in _paths(good):
        for odd in ODD:
            yield _changed(good, path, odd)
        if path:
            yield _changed(good, path, ...)


def _paths(found: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    inner = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in inner:
        yield from _paths(value, (*at, key))


def _changed(good: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    changed = copy.deepcopy(good)
    place = changed
    for key in path[:-1]:
        place = place[key]
    if odd is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = odd
    return changed


@each
class TestTypes:
    def test_good_answers_are_good(self, provider: Provider) -> None:
        """Each answer of the table means something, so that the changed answers test something."""
        results = {
            name: [ask(one, 200, body) for body in GOOD[provider.name]] for name, one in _operations(provider).items()
        }
        assert any(isinstance(one, Progress) for one in results["submit"])
        assert {one.status for one in results["poll"] if isinstance(one, Progress)} >= {"completed", "failed"}

    def test_no_value_of_a_good_answer_breaks_it(self, provider: Provider) -> None:
        for operation in _operations(provider).values():
            for good in GOOD[provider.name]:
                for body in mutants(good):
                    ask(operation, 200, body)

    @pytest.mark.parametrize("status", [400, 404, 429, 500])
    def test_no_value_of_an_error_breaks_it(self, provider: Provider, status: int) -> None:
        for operation in _operations(provider).values():
            for error in ERRORS[provider.name] + (GOOD[provider.name] if status == 500 else []):
                for body in mutants(error):
                    ask(operation, status, body)

    @pytest.mark.parametrize("name", ["retry-after", "content-length", "content-type", "content-encoding"])
    def test_no_header_breaks_it(self, provider: Provider, name: str) -> None:
        progress = Progress("job_1", "completed", output_url=FILE)
        for value in ("", "x", "-1", "9" * 5000, "Fri, 99 Foo 2026", "1e9", "é", "None", "5, 5"):
            for operation in _operations(provider).values():
                for status in (200, 404, 429, 503):
                    for body in (GOOD[provider.name][0], ERRORS[provider.name][0], b"<html>"):
                        ask(operation, status, body, {name: value})
            for status in (200, 404, 503):
                ask(lambda account: _read(provider, account, progress), status, b"bytes", {name: value})


NOT_THE_PROVIDERS = [
    *(b"", b"<html><h1>404 Not Found</h1></html>", b"default backend - 404", b"null", b"[]", b"{}", b'"Not Found"'),
    b'{"message": "no Route matched with those values"}',  # Kong
    b'{"timestamp": "2026-12-01", "status": 404, "path": "/v1/videos/job_1"}',
]


def _providers_404(provider: Provider) -> list[tuple[int, Any]]:
    """Return how the provider answers for a job that it does not know."""
    return {
        "gemini": [
            (400, {"error": {"code": "invalid_request", "message": "Invalid interaction name."}}),
            (404, {"error": {"code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND"}}),
        ],
        "hosted_vllm": [(404, {"detail": "Video not found"})],
        "kling": [(404, {"code": 1203, "message": "The requested resource does not exist.", "request_id": "r"})],
        "minimax": [
            (500, {"error": {"type": "server_error", "message": "record not found (1000)"}}),
            (404, {"error": {"type": "not_found", "message": "no such task"}}),
        ],
        "runwayml": [(404, {"error": "An asset or task with this ID was not found."})],
        "xai": [(404, {"code": "not-found", "error": "Request job_1 was not found"}), (404, {"error": "Not Found"})],
    }.get(provider.name, [(404, {"error": {"message": "Video with id 'job_1' not found.", "code": "not_found"}})])


@each
class TestAbsent:
    """A load balancer answers 404 while the servers behind it are replaced: that says nothing about a paid video."""

    @pytest.mark.parametrize("body", NOT_THE_PROVIDERS, ids=lambda body: repr(body[:30]))
    def test_a_404_that_is_not_the_providers_is_passing(self, provider: Provider, body: bytes) -> None:
        for name, operation in _operations(provider).items():
            if name == "content" and provider.name not in OPENAI_SHAPED | {"gemini"}:
                continue  # it has no address to read
            result = ask(operation, 404, body)
            assert isinstance(result, Refused), name
            assert result.reason is Reason.UNAVAILABLE, name

    def test_a_providers_own_404_means_that_it_is_gone(self, provider: Provider) -> None:
        calls = _operations(provider)
        for status, body in _providers_404(provider):
            result = ask(calls["poll"], status, body)
            assert isinstance(result, Refused), result
            assert result.reason is Reason.NOT_FOUND, result
            if "delete" in calls:
                assert ask(calls["delete"], status, body) is None


@pytest.mark.parametrize("name", sorted(OPENAI_SHAPED))
@pytest.mark.parametrize(
    "body",
    [{"detail": "Not Found"}, {"error": {"message": "Not Found", "type": "Not Found", "param": None, "code": 404}}],
)
def test_a_web_frameworks_404_for_a_path_is_no_lost_video(name: str, body: Any) -> None:
    """FastAPI, and vLLM around it, answer so for a path that has no route, as while a server starts."""
    calls = _operations(providers.load(name))
    for call in ("submit", "poll", "content", "delete"):
        assert ask(calls[call], 404, body).reason is Reason.UNAVAILABLE


QUERY = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIA1%2F20261201&X-Amz-Security-Token="
    + "IQoJb3JpZ2lu" * 75
    + "&X-Amz-Signature=5ef7aa01"
)
SIGNED = f"https://bucket.s3.amazonaws.com/media/blue/still-0.jpg?{QUERY}"
QUOTED = [
    f"Could not fetch {SIGNED} (403).",
    f"Could not fetch '{SIGNED}'",
    f'image_url="{SIGNED}"',
    "Could not fetch " + SIGNED.replace("/", "\\/"),
    "Could not fetch " + SIGNED.replace(":", "%3A").replace("/", "%2F").replace("?", "%3F").replace("=", "%3D"),
    f"GET /media/blue/still-0.jpg?{QUERY} answered 403",
    f"Host bucket.s3.amazonaws.com, query {QUERY}",
    f"Could not fetch {SIGNED.removeprefix('https:')}",
    f"Could not fetch s3+{SIGNED}",
    "No. " * 499 + SIGNED,
    "Could not fetch https://gcs.example/f?X-Goog-Signature=5ef7&x=1 or https://a.example/f?sig=5ef7&se=1",
    "Could not fetch //cdn.example/f?Expires=1&Signature=5ef7&Key-Pair-Id=K",
]


def _saying(error: Any, text: str) -> Iterator[Any]:
    """Yield the error with the text at each of its places that holds words."""
    for path in _paths(error):
        place = error
        for key in path:
            place = place[key]
        if isinstance(place, str):
            yield _changed(error, path, text)


@each
@pytest.mark.parametrize("text", QUOTED, ids=range(len(QUOTED)))
class TestSignedAddresses:
    """A provider's words may quote our request, and who has a presigned URL can read the file."""

    def test_they_are_cut_out_of_refusals(self, provider: Provider, text: str) -> None:
        for operation in _operations(provider).values():
            for error in ERRORS[provider.name]:
                for body in _saying(error, text):
                    for status in (400, 401, 404, 422, 429, 500, 503):
                        result = ask(operation, status, body)
                        if isinstance(result, ProviderError):
                            _holds_no_address(
                                result.message, getattr(result, "code", None), getattr(result, "param", None)
                            )

    def test_they_are_cut_out_of_failed_jobs(self, provider: Provider, text: str) -> None:
        calls = _operations(provider)
        for good in GOOD[provider.name]:
            for body in _saying(good, text):
                for name in {"poll", "poll_character", "find_character"} & set(calls):
                    result = ask(calls[name], 200, body)
                    if isinstance(result, Progress):
                        _holds_no_address(*(result.error or ()))
                    elif isinstance(result, ProviderError):
                        _holds_no_address(result.message)
                    elif isinstance(result, str):
                        _holds_no_address(result)


def _holds_no_address(*texts: str | None) -> None:
    said = " ".join(filter(None, texts)).lower()
    for part in ("x-amz", "x-goog", "signature", "5ef7", "iqojb3", "asia1", "still-0"):
        assert part not in said, said


@each
@pytest.mark.parametrize(
    "text", ["model ", "blocked ", "interaction ", "(1234) ", "9", "a://", "&a", "not found ", " "]
)
def test_long_words_take_no_time(provider: Provider, text: str) -> None:
    """Quadratic patterns took 8 to 18 s for 80 kB on a busy machine, so minutes for this; others take a blink."""
    said = text * (300_000 // len(text))
    operation = _operations(provider)["poll"]
    for error in ERRORS[provider.name]:
        for body in (*_saying(error, said), *_saying(GOOD[provider.name][2], said)):
            data = json.dumps(body).encode()
            started = time.monotonic()
            ask(operation, 400, data)
            ask(operation, 200, data)
            assert time.monotonic() - started < 5


class TestWords:
    def test_they_are_cut_before_anything_reads_them(self) -> None:
        assert len(refusals.words("x" * 16_000_000)) == refusals.MAX_WORDS
        assert len(refusals.words("word " * 1_000_000)) <= refusals.MAX_WORDS

    def test_a_word_is_not_cut_in_two(self) -> None:
        """Half a key is still worth hiding."""
        account = Account(BASE, KEY, Http(200, b""))
        for start in range(refusals.MAX_WORDS - 2 * len(KEY), refusals.MAX_WORDS + 5):
            text = "https://a.example/" + "b" * (start - 19) + f" {KEY}"
            assert KEY[:4] not in refusals.words(text).replace(KEY, "")
            assert KEY[:4] not in refusals.clean(account, text)

    @pytest.mark.parametrize(
        "text",
        [
            "The size 720x1280 is not supported. Use 1280x720 (16:9).",
            "Invalid value: 'seconds'. Supported values are: '4', '8', and '12'.",
            "What is a=b? I do not know; see docs/errors.md & the signature of the call.",
            "Retry in 5s: rate limit (60/min) for org-abc, model=sora-2",
            "ratio 16:9, 50% done",
        ],
    )
    def test_other_words_stay(self, text: str) -> None:
        assert refusals.words(text) == text
