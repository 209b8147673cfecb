"""One contract for every provider in the folder.

The profile and the code agree, and whatever a server answers, a provider raises only Refused or OutcomeUnknown.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes import account as accounts
from tests.fakes.account import BASE, KEY, Server, media
from understudy import providers
from understudy.errors import OutcomeUnknown, ProviderError, Reason, Refused
from understudy.network import http_client
from understudy.providers.base import (
    CastMember,
    CharacterSupport,
    Operation,
    Order,
    Profile,
    Progress,
    Provider,
    Source,
)

UNKNOWN = "a-model-of-next-year"
# Models and options that a provider treats differently, in addition to the models of its table `_MODELS`, if it has
# one. Every provider is also tested with an unknown model.
CASES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "openai": [("sora-2", {}), ("sora-2-pro", {}), ("sora-2", {"characters": 0, "edit": False, "extend_seconds": []})],
    "azure": [("sora-2", {}), ("sora-2", {"entra": True})],
    "hosted_vllm": [("wan-2.2", {}), ("wan-2.2", {"references": "image"}), ("wan-2.2", {"references": "video"})],
    "gemini": [("gemini-omni-1.1-flash", {"references": "image"}), ("gemini-omni-1.2-flash", {"uploads": False})],
    "kling": [("kling-3.0-omni", {"elements": "video"}), ("kling-3.0-omni", {"audio": "off"})],
}
# Method -> whether a profile claims to need it.
CLAIMS: dict[str, Callable[[Profile], bool]] = {
    "make_character": lambda profile: profile.characters.native > 0,
    "poll_character": lambda profile: profile.characters.native_slow,
    "find_character": lambda profile: profile.characters.findable,
    "delete_character": lambda profile: profile.characters.deletable,
    "delete": lambda profile: profile.delete,
    "find": lambda profile: profile.findable,
}
HOSTILE_IDS = [
    "../admin",
    "a/b",
    "a?b=c",
    "a#b",
    "a%2fb",
    "..",
    ".",
    "",
    "a b",
    "é",
    "a\\b",
    "//evil.example/",
    "@evil",
]
HOSTILE_BODIES = [
    *(b"", b"null", b"[]", b"{}", b"5", b'"text"', b"<html>no</html>", b"\xff\xfe", b"{" * 50_000, b"[" * 100_000),
    *(b'{"id": null, "status": null}', b'{"error": null}', b'{"error": [1]}', b'{"error": {"message": {"a": 1}}}'),
    *(
        b'{"id": [], "status": {}}',
        b'{"id": "v", "status": []}',
        b'{"detail": [{"msg": 1}]}',
        b'{"status": "completed"}',
        b'{"status": "done"}',
    ),
    *(b'{"id": "v", "status": "queued", "progress": NaN}', b'{"video": 5}', b'{"data": {}, "output": []}'),
]


def models(provider: Provider) -> list[tuple[str, dict[str, Any]]]:
    listed: Iterable[str] = getattr(inspect.getmodule(type(provider)), "_MODELS", ())
    return [(UNKNOWN, {}), *CASES.get(provider.name, []), *((model, {}) for model in listed)]


def cases() -> Iterator[Any]:
    for provider in map(providers.load, providers.names()):
        for model, options in models(provider):
            yield pytest.param(provider, model, options, id=f"{provider.name}-{model}-{json.dumps(options)}")


each = pytest.mark.parametrize("provider", [providers.load(name) for name in providers.names()], ids=providers.names())
each_case = pytest.mark.parametrize(("provider", "model", "options"), list(cases()))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return accounts.install(monkeypatch)


def test_there_are_providers() -> None:
    assert {"openai", "azure", "hosted_vllm"} <= set(providers.names())
    with pytest.raises(LookupError, match="openai"):
        providers.load("nobody")


@each
def test_it_is_named_as_its_file(provider: Provider) -> None:
    assert isinstance(provider, Provider)
    assert type(provider).__module__ == f"understudy.providers.{provider.name}"
    assert inspect.getmodule(type(provider)).__doc__  # type: ignore[union-attr]


@each
def test_it_knows_nothing_of_the_rest_and_no_other_provider(provider: Provider) -> None:
    source = inspect.getsource(inspect.getmodule(type(provider)))  # type: ignore[arg-type]
    imported = set(re.findall(r"^\s*(?:from|import) understudy\.?([\w.]*)", source, re.MULTILINE))
    shared = {path.stem for path in Path(providers.__file__).parent.glob("*.py")} - set(providers.names())
    assert imported <= {"errors", *(f"providers.{name}" for name in shared)}
    assert not re.search(r"\b(boto3|httpx|os\.environ)\b", source)


@each
def test_optional_methods_are_there_exactly_when_claimed(provider: Provider) -> None:
    profiles = [provider.profile(model, options) for model, options in models(provider)]
    for method, claimed in CLAIMS.items():
        implemented = getattr(type(provider), method) is not getattr(Provider, method)
        here = method in vars(type(provider))
        if any(map(claimed, profiles)):
            assert implemented, f"{provider.name} claims {method} and has none"
        else:
            assert not here, f"{provider.name} has {method} and never claims it"


@each_case
def test_the_profile_is_sane(provider: Provider, model: str, options: dict[str, Any]) -> None:
    profile = provider.profile(model, options)
    assert profile == provider.profile(model, options)
    assert profile.seconds
    assert list(profile.seconds) == sorted(set(profile.seconds))
    assert all(0 < seconds <= 300 for seconds in profile.seconds + profile.extend_seconds)
    assert list(profile.extend_seconds) == sorted(set(profile.extend_seconds))
    assert profile.default_seconds in profile.seconds
    assert len(set(profile.sizes)) == len(profile.sizes)
    assert all(re.fullmatch(r"[1-9]\d{2,3}x[1-9]\d{2,3}", size) for size in profile.sizes)
    assert profile.default_size in profile.sizes
    assert 0 < profile.prompt_characters <= 100_000
    assert 1 <= profile.poll_seconds <= 60
    assert 60 <= profile.deadline_seconds <= 24 * 3600
    assert not profile.extend_upload or profile.extend_seconds


@each_case
def test_its_characters_are_sane(provider: Provider, model: str, options: dict[str, Any]) -> None:
    support = provider.profile(model, options).characters
    assert min(support.native, support.reference_videos, support.reference_images) >= 0
    shortest, longest = support.clip_seconds
    assert 0 <= shortest < longest <= 600
    if support.native_slow or support.deletable or support.findable:
        assert support.native
    if support.trim:
        assert support.reference_videos
    if not support.most:
        assert support.seconds is support.sizes is support.beside_image is None
    assert support.beside_image is None or 0 <= support.beside_image <= support.most


@each_case
def test_a_video_with_characters_is_one_that_it_makes(provider: Provider, model: str, options: dict[str, Any]) -> None:
    profile = provider.profile(model, options)
    able = profile.playing(cast=True)
    assert able.characters.most == profile.characters.most
    for every, some, declared in (
        (profile.seconds, able.seconds, profile.characters.seconds),
        (profile.sizes, able.sizes, profile.characters.sizes),
    ):
        assert some
        assert set(declared or some) == set(some) <= set(every)  # type: ignore[arg-type]
    assert able.default_seconds in able.seconds
    assert able.default_size in able.sizes


@each_case
def test_its_prices_are_sane(provider: Provider, model: str, options: dict[str, Any]) -> None:
    """Prices are in micro-dollars a second, for sizes and operations of the profile.

    A price for output is from a tenth of a cent to five dollars, a price for input from a hundredth of a cent to one
    dollar.
    """
    profile = provider.profile(model, options)
    prices, support = profile.prices, profile.characters
    for rates in (prices.create, prices.characters or {}, prices.edit or {}, prices.extend or {}):
        assert set(rates) <= {"", *profile.sizes}
        assert all(type(price) is int and 1_000 <= price <= 5_000_000 for price in rates.values())
    for rates in (prices.source, prices.clips):
        assert set(rates) <= {"", *profile.sizes}
        assert all(type(price) is int and 100 <= price <= 1_000_000 for price in rates.values())
    assert type(prices.character) is int
    assert 0 <= prices.character <= 1_000_000
    assert set(prices.characters or {}) <= {"", *profile.playing(cast=True).sizes}
    assert support.most or (prices.characters, prices.clips, prices.character) == (None, {}, 0)
    assert prices.edit is None or profile.edit or profile.edit_upload or profile.remix
    assert prices.extend is None or profile.extend_seconds
    assert not prices.source or profile.edit or profile.extend_seconds


@each_case
def test_its_files_are_kept_for_a_while(provider: Provider, model: str, options: dict[str, Any]) -> None:
    """A provider keeps files long enough to be copied, and for a limited time; None means without limit."""
    kept = provider.profile(model, options).kept_seconds
    assert kept is None or 600 <= kept <= 365 * 24 * 3600


def orders(profile: Profile, model: str) -> Iterator[Order]:
    """Yield an order of every kind that the profile accepts."""

    def order(operation: Operation = "create", **changes: Any) -> Order:
        facts = {"seconds": profile.default_seconds, "size": profile.default_size, **changes}
        return Order(operation, model, "Luna dances", "our-reference", **facts)

    yield order()
    for seconds in profile.seconds:
        yield order(seconds=seconds)
    for size in profile.sizes:
        yield order(size=size)
    if profile.input_image:
        yield order(image=media("image.png", "image/png"))
    if profile.characters.most:
        able, most = profile.playing(cast=True), _cast(profile.characters, profile.characters.most)
        yield order(cast=_cast(profile.characters, 1))
        for seconds in able.seconds:
            yield order(cast=most, seconds=seconds)
        for size in able.sizes:
            yield order(cast=most, size=size)
    if profile.input_image and profile.characters.beside:
        cast = _cast(profile.characters, profile.characters.beside)
        yield order(cast=cast, image=media("image.png", "image/png"))
    own = Source(clip=media()) if profile.source_by_clip else Source("video_0")
    for operation, can_own, can_upload in (
        ("edit", profile.edit, profile.edit_upload),
        ("extend", bool(profile.extend_seconds), profile.extend_upload),
        ("remix", profile.remix, False),
    ):
        seconds = profile.extend_seconds[0] if operation == "extend" and profile.extend_seconds else None
        if can_own:
            yield order(operation, source=own, seconds=seconds)  # type: ignore[arg-type]
        if can_upload:
            yield order(operation, source=Source(clip=media()), seconds=seconds)  # type: ignore[arg-type]


def _cast(support: CharacterSupport, count: int) -> tuple[CastMember, ...]:
    def member(n: int) -> CastMember:
        if support.native:
            return CastMember(f"Name{n}", handle=f"char_{n}")
        if support.reference_videos:
            return CastMember(f"Name{n}", clip=media(f"clip{n}.mp4"))
        return CastMember(f"Name{n}", stills=tuple(media(f"still{n}-{i}.jpg", "image/jpeg") for i in range(4)))

    return tuple(member(n) for n in range(count))


TO_A_READ = (200, 202, 204, 301, 400, 401, 404, 429, 500, 503)


def answering(server: Server, body: bytes, statuses: tuple[int, ...]) -> Iterator[int]:
    """Yield one status after the other while the server answers with that status and this body."""
    for status in statuses:
        server.answers.clear()
        server.answer(status, body)
        yield status


def outcome(call: Callable[[], Any]) -> Any:
    """Return the value of the call or the Refused or OutcomeUnknown that it raised; other errors fail the test."""
    try:
        return call()
    except ProviderError as error:
        assert isinstance(error, Refused | OutcomeUnknown)
        assert KEY not in f"{error.message}{getattr(error, 'code', '')}{getattr(error, 'param', '')}"
        return error


def asks_no_other_host(server: Server) -> None:
    """Check that every request stayed below the account's base URL and carried our key only in headers."""
    for request in server.requests:
        assert str(request.url).startswith(f"{BASE}/"), request.url
        assert b".." not in request.url.raw_path.split(b"/")
        assert KEY not in str(request.url)
        assert KEY.encode() not in request.content


@each_case
class TestOrders:
    """Every order that the profile allows can be sent, and is sent once."""

    def place(self, server: Server, provider: Provider, model: str, options: dict[str, Any]) -> Iterator[Any]:
        for order in orders(provider.profile(model, options), model):
            server.requests.clear()
            account = server.account(**options)
            yield outcome(lambda order=order, account=account: provider.submit(account, order))
            asks_no_other_host(server)

    def test_a_wrong_key_is_ours_to_fix(
        self, server: Server, provider: Provider, model: str, options: dict[str, Any]
    ) -> None:
        server.answer(401, {"error": {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}})
        for result in self.place(server, provider, model, options):
            assert isinstance(result, Refused)
            assert result.reason is Reason.CREDENTIALS
            assert result.movable

    @pytest.mark.parametrize("status", [500, 502])
    def test_a_broken_server_may_have_made_it(
        self, server: Server, provider: Provider, model: str, options: dict[str, Any], status: int
    ) -> None:
        server.answer(status, b"<html>oops</html>")
        for result in self.place(server, provider, model, options):
            assert isinstance(result, OutcomeUnknown | Refused)
            assert len(server.requests) == 1
        order = next(orders(provider.profile(model, options), model))  # no files: this is the paid request
        assert isinstance(outcome(lambda: provider.submit(server.account(**options), order)), OutcomeUnknown)

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (httpx.ReadTimeout, OutcomeUnknown),
            (httpx.RemoteProtocolError, OutcomeUnknown),
            (httpx.ConnectError, Refused),
        ],
    )
    def test_a_lost_answer_is_told_from_a_refused_connection(
        self,
        monkeypatch: pytest.MonkeyPatch,
        server: Server,
        provider: Provider,
        model: str,
        options: dict[str, Any],
        error: type[httpx.HTTPError],
        kind: type[ProviderError],
    ) -> None:
        sent = []

        def lose(request: httpx.Request) -> httpx.Response:
            sent.append(request)
            raise error("lost")

        http = httpx.Client(transport=httpx.MockTransport(lose))
        monkeypatch.setattr(http_client, "_http", lambda: http)
        order = next(orders(provider.profile(model, options), model))
        assert isinstance(outcome(lambda: provider.submit(server.account(**options), order)), kind)
        assert len(sent) == 1

    @pytest.mark.parametrize("body", HOSTILE_BODIES, ids=lambda body: repr(body[:30]))
    def test_no_answer_breaks_it(
        self, server: Server, provider: Provider, model: str, options: dict[str, Any], body: bytes
    ) -> None:
        """A 2xx answer that is not a job means that the outcome is unknown, never that nothing was made."""
        order = next(orders(provider.profile(model, options), model))
        for status in answering(server, body, (200, 201, 202, 400, 404, 429, 500, 503)):
            result = outcome(lambda: provider.submit(server.account(**options), order))
            if status < 300:
                assert isinstance(result, OutcomeUnknown | Progress), result


@each
class TestPoll:
    @pytest.mark.parametrize("body", HOSTILE_BODIES, ids=lambda body: repr(body[:30]))
    def test_no_answer_breaks_it(self, server: Server, provider: Provider, body: bytes) -> None:
        for _ in answering(server, body, TO_A_READ):
            result = outcome(lambda: provider.poll(server.account(), "job_1"))
            if isinstance(result, Progress):
                assert result.status in {"queued", "in_progress", "completed", "failed"}
                assert (result.status == "failed") == (result.error is not None)
                assert result.upstream_id == "job_1"
        asks_no_other_host(server)

    @pytest.mark.parametrize("upstream_id", HOSTILE_IDS)
    def test_an_id_stays_in_its_place(self, server: Server, provider: Provider, upstream_id: str) -> None:
        server.answer(404, {"error": {"message": "no"}})
        calls = [provider.poll, *([provider.delete] if provider.profile(UNKNOWN, {}).delete else [])]
        for call in calls:
            server.requests.clear()
            for asked in ("job_1", upstream_id):
                outcome(lambda call=call, asked=asked: call(server.account(), asked))
            asks_no_other_host(server)
            depths = {len(request.url.raw_path.split(b"/")) for request in server.requests}
            assert len(depths) == 1, "an id became structure"
            assert all(b"b=c" not in request.url.query for request in server.requests)

    def test_reading_never_writes(self, server: Server, provider: Provider) -> None:
        server.answer(500, b"")
        outcome(lambda: provider.poll(server.account(), "job_1"))
        assert {request.method for request in server.requests} <= {"GET"}


FINDERS = [one for one in map(providers.load, providers.names()) if one.profile(UNKNOWN, {}).characters.findable]


def test_some_can_be_asked_for_a_character() -> None:
    assert {"openai", "azure"} <= {provider.name for provider in FINDERS}


@pytest.mark.parametrize("provider", FINDERS, ids=lambda provider: provider.name)
class TestFindCharacter:
    """The id of the character comes from a caller."""

    @pytest.mark.parametrize("body", HOSTILE_BODIES, ids=lambda body: repr(body[:30]))
    def test_no_answer_breaks_it(self, server: Server, provider: Provider, body: bytes) -> None:
        for status in answering(server, body, TO_A_READ):
            result = outcome(lambda: provider.find_character(server.account(), "char_1"))
            if isinstance(result, str):
                assert 0 < len(result) <= 80
                assert status < 300
        asks_no_other_host(server)

    @pytest.mark.parametrize("reference", HOSTILE_IDS)
    def test_an_id_stays_in_its_place(self, server: Server, provider: Provider, reference: str) -> None:
        server.answer(404, {"error": {"message": "no"}})
        refused = outcome(lambda: provider.find_character(server.account(), reference))
        assert isinstance(refused, Refused)
        assert refused.reason is Reason.NOT_FOUND
        outcome(lambda: provider.find_character(server.account(), "char_1"))
        asks_no_other_host(server)
        assert len({len(request.url.raw_path.split(b"/")) for request in server.requests}) == 1
        assert all(b"b=c" not in request.url.query for request in server.requests)

    def test_reading_never_writes(self, server: Server, provider: Provider) -> None:
        server.answer(500, b"")
        outcome(lambda: provider.find_character(server.account(), "char_1"))
        assert {request.method for request in server.requests} == {"GET"}


@each
class TestContent:
    @pytest.mark.parametrize("status", [401, 403, 404, 410, 429, 500, 503])
    def test_a_refusal_is_one(self, server: Server, provider: Provider, status: int) -> None:
        server.answer(status, {"error": {"message": f"no {KEY}"}})
        progress = Progress("job_1", "completed", output_url=f"{BASE}/file.mp4")

        def read() -> bytes:
            with provider.open_content(server.account(), progress) as content:
                return b"".join(content.chunks)

        assert isinstance(outcome(read), ProviderError)
        assert {request.method for request in server.requests} <= {"GET"}

    def test_it_is_handed_on_in_pieces(self, server: Server, provider: Provider) -> None:
        server.answer(200, b"v" * 100_000, headers={"content-type": "video/mp4"})
        progress = Progress("job_1", "completed", output_url=f"{BASE}/file.mp4")
        with provider.open_content(server.account(), progress) as content:
            assert b"".join(content.chunks) == b"v" * 100_000
