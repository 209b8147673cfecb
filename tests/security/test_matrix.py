"""Who gets what: every route, every place in the route where an id can be, and every kind of id.

Routes and places are read from docs/openapi.json; a place that is missing in PLACES fails a test here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.fakes.stage import ROOT, Reply, Stage, load
from tests.fakes.upstream import MP4, Upstream
from tests.security.conftest import Row
from understudy.files import uploads
from understudy.ids import Kind, ManagedId, new_record
from understudy.jobs.job import Job
from understudy.store import bucket, secrets
from understudy.store.bucket import File

DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01"


@dataclass(frozen=True)
class Place:
    """A place of an id in a call that is otherwise correct."""

    function: str
    where: str  # the path parameter, the query parameter, or the field of the body
    kind: Kind
    body: dict[str, Any] = field(default_factory=dict)
    own: int = 200
    unknown: int = 404
    purpose: uploads.Purpose = "video"  # of an upload
    in_parts: bool = False

    def __str__(self) -> str:
        return f"{self.function} {self.where}"

    def call(self, stage: Stage, text: str) -> Reply:
        """Make the call with this id and return the reply."""
        if self.where.endswith("_id") and "." not in self.where:
            return stage.call(self.function, path={self.where: text}, json_body=self.body or None)
        if self.where == "after":
            return stage.call(self.function, query={"after": text})
        outer, _, inner = self.where.partition(".")
        value = [{inner: text}] if outer == "characters" else {inner: text}
        return stage.call(self.function, json_body={**self.body, outer: value})


PROMPT = {"prompt": "At night"}
PLACES = [
    Place("create_video", "characters.id", Kind.CHARACTER, {**PROMPT, "model": "solo"}),
    Place("create_video", "input_reference.upload_id", Kind.UPLOAD, {**PROMPT, "model": "solo"}, purpose="image"),
    Place("get_video", "video_id", Kind.VIDEO),
    Place("get_content", "video_id", Kind.VIDEO, own=302),
    Place("delete_video", "video_id", Kind.VIDEO),
    Place("remix_video", "video_id", Kind.VIDEO, PROMPT),
    Place("edit_video", "video.id", Kind.VIDEO, PROMPT),
    Place("edit_video", "video.upload_id", Kind.UPLOAD, {**PROMPT, "model": "solo"}),
    Place("extend_video", "video.id", Kind.VIDEO, {**PROMPT, "seconds": "8"}),
    Place("extend_video", "video.upload_id", Kind.UPLOAD, {**PROMPT, "model": "solo", "seconds": "8"}),
    # `after` is not looked up, because a page may begin after something that has been deleted.
    Place("list_videos", "after", Kind.VIDEO, unknown=200),
    Place("list_characters", "after", Kind.CHARACTER, unknown=200),
    Place("create_character", "video.id", Kind.VIDEO, {"name": "Luna"}),
    Place("create_character", "video.upload_id", Kind.UPLOAD, {"name": "Luna"}),
    Place("get_character", "character_id", Kind.CHARACTER),
    Place("delete_character", "character_id", Kind.CHARACTER),
    Place("get_upload", "upload_id", Kind.UPLOAD),
    Place("cancel_upload", "upload_id", Kind.UPLOAD),
    Place("sign_parts", "upload_id", Kind.UPLOAD, in_parts=True),
    Place("complete_upload", "upload_id", Kind.UPLOAD, in_parts=True, own=400),  # no part has arrived
]
WITHOUT_IDS = {"create_upload", "list_models"}
NOT_OURS = {("create_video", "input_reference.file_id")}  # OpenAI's files, which are refused whatever they are called


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            yield operation["operationId"], operation


def documented_places() -> set[tuple[str, str]]:
    """Return the places of ids in the description: in the path, in the query, in the body."""
    found = set()
    for name, operation in operations():
        for parameter in operation.get("parameters", []):
            in_query = parameter["in"] == "query" and parameter["schema"].get("type") == "string"
            if parameter["in"] == "path" or (in_query and "enum" not in parameter["schema"]):
                found.add((name, parameter["name"]))
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        found |= {(name, path) for path in _id_fields(body, "")}
    return found


def _id_fields(schema: dict[str, Any], path: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for name, value in schema.get("properties", {}).items():
        inner = f"{path}.{name}" if path else name
        if name == "id" or name.endswith("_id"):
            yield inner
        yield from _id_fields(value, inner)
    for one in (*schema.get("anyOf", []), *([schema["items"]] if "items" in schema else [])):
        yield from _id_fields(one, path)


def test_every_route_and_every_id_of_it_is_in_the_matrix() -> None:
    functions = {file.parent.name for file in (ROOT / "functions").glob("*/app.py") if "@Endpoint(" in file.read_text()}
    assert {name for name, _ in operations()} == functions, "run `make openapi`"
    assert {place.function for place in PLACES} | WITHOUT_IDS == functions
    assert {(place.function, place.where) for place in PLACES} == documented_places() - NOT_OURS


@dataclass
class Things:
    """One team's video, character and upload by their public ids, and the provider's ids of the first two."""

    ids: dict[Kind, str]
    upstream: dict[Kind, str]


def make(stage: Stage, upstream: Upstream, place: Place, team: str) -> Things:
    """Make a finished video, a character and an upload of the team that is signed in."""
    upstream.instant = True
    made = stage.create(model="solo")
    assert made.status == 200, made
    before = set(upstream.characters)
    character = stage.character(model="solo")
    (named,) = {one.partition("/")[2] for one in set(upstream.characters) - before}
    stage.run()
    video = stage.show(made.body["id"])
    assert video["status"] == "completed"
    job = Job.page(team, limit=1, newest_first=True, after=None)[0]
    return Things(
        {Kind.VIDEO: video["id"], Kind.CHARACTER: character, Kind.UPLOAD: upload(stage, place, team)},
        {Kind.VIDEO: job.upstream_id or "", Kind.CHARACTER: named},
    )


def upload(stage: Stage, place: Place, team: str) -> str:
    """Make an upload and return its id: completed, or just begun if the upload is sent in parts."""
    image = place.purpose == "image"
    mime_type, data = ("image/png", PNG) if image else ("video/mp4", MP4)
    size = uploads.POST_BYTES + 1 if place.in_parts else len(data)
    body = {"purpose": place.purpose, "filename": "x", "bytes": size, "mime_type": mime_type}
    made = stage.call("create_upload", json_body=body)
    assert made.status == 200, made
    if not place.in_parts:
        record = secrets.id_codec().decode(made.body["id"], Kind.UPLOAD, team=team).record
        row = uploads.find(team, record)
        assert row is not None
        claimed = uploads.claim(row, "v1", 60)
        assert claimed is not None
        key = bucket.input_key(team, record, "file")
        bucket.put(key, data, mime_type)
        uploads.finish(claimed, File(key, mime_type, len(data)))
    return str(made.body["id"])


RAW = {Kind.VIDEO: "video_xyz789", Kind.CHARACTER: "char_abc123", Kind.UPLOAD: "upload_abc123"}


def signed(kind: Kind, record: str, team: str) -> str:
    return secrets.id_codec().encode(ManagedId(kind, record, "openai", "solo", "video_0"), team=team)


def tampered(text: str) -> Iterator[tuple[str, str]]:
    """Yield the id with one bit changed in version, key id, owner tag, record or MAC, and the id cut or lengthened."""
    prefix, _, encoded = text.partition("_")
    payload = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    for name, at in {"version": 0, "key id": 1, "owner": 2, "record": 12, "MAC": -1}.items():
        changed = bytearray(payload)
        changed[at] ^= 1
        yield f"tampered: {name}", f"{prefix}_{base64.urlsafe_b64encode(changed).rstrip(b'=').decode()}"
    yield "tampered: cut", text[:-1]
    yield "tampered: addition", text + "A"


def wrapped(kind: Kind, inner: str) -> str:
    """Return a provider's id as LiteLLM's proxy wraps it."""
    name = "video" if kind is Kind.UPLOAD else kind
    plain = f"litellm:custom_llm_provider:openai;model_id:solo;{name}_id:{inner}"
    return f"{kind}_{base64.b64encode(plain.encode()).decode().rstrip('=')}"


def never_read(place: Place, own: Things, foreign: Things) -> dict[str, str]:
    """Return ids that are refused because of their form or their owner, before any row is read."""
    others = [kind for kind in Kind if kind is not place.kind]
    found = {
        "foreign": foreign.ids[place.kind],
        "foreign in LiteLLM's": wrapped(place.kind, foreign.ids[place.kind]),
        **dict(tampered(own.ids[place.kind])),
        **{f"other kind: {kind}": own.ids[kind] for kind in others},
        **{f"other kind called {place.kind}: {kind}": _renamed(own.ids[kind], place.kind) for kind in others},
        "no id": "x",
        "the record": "0" * 28,
    }
    assert len(set(found.values())) == len(found)
    return found


def _renamed(text: str, kind: Kind) -> str:
    return f"{kind}_{text.partition('_')[2]}"


def without_scope(place: Place, foreign: Things) -> dict[str, str]:
    """Return ids of providers and of LiteLLM, for a key without the `raw_ids` scope."""
    known = foreign.upstream.get(place.kind, foreign.upstream[Kind.VIDEO])
    return {
        "raw": RAW[place.kind],
        "raw in LiteLLM's": wrapped(place.kind, RAW[place.kind]),
        "raw of another team's known thing": known,
        "the same in LiteLLM's": wrapped(place.kind, known),
    }


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_who_gets_what(stage: Stage, upstream: Upstream, rows: list[Row], place: Place) -> None:
    foreign = make(stage, upstream, place, "blue")
    caller = stage.sign_in("red")
    own = make(stage, upstream, place, "red")
    counted = load(place.function).handler.endpoint.counts is not None

    def ask(text: str) -> tuple[Reply, list[Row]]:
        """Return the answer and the rows that were requested for it."""
        stage.edges.touched.clear()
        rows.clear()
        return place.call(stage, text), list(rows)

    unknown, _ = ask(signed(place.kind, new_record(), "red"))
    assert unknown.status == place.unknown, unknown
    same, _ = ask(signed(place.kind, new_record(), "blue"))
    assert (same.status, same.error["code"]) == (404, f"{place.kind}_not_found")
    if place.unknown == 404:
        assert same == unknown

    before = _state(stage, upstream)
    for name, text in (never_read(place, own, foreign) | without_scope(place, foreign)).items():
        reply, asked = ask(text)
        assert reply == same, name
        assert asked == ([("UpdateItem", f"key#{caller.key_id}")] if counted else []), name
        assert set(stage.edges.touched) <= {"UpdateItem", "GetSecretValue"}, name
    for text in (own.ids[place.kind] + "\0", "../../videos", "%00", "é" * 2000):  # no id can look so
        reply, asked = ask(text)
        assert reply.status in {400, 404}, text
        assert [row for row in asked if row != ("UpdateItem", f"key#{caller.key_id}")] == [], text
    assert _state(stage, upstream) == before

    reply, asked = ask(own.ids[place.kind])
    assert reply.status == place.own, reply
    teams = {partition for _, partition in asked if partition.startswith("team#")}
    assert teams <= {"team#red"}
    if counted:
        assert asked[0] == ("UpdateItem", f"key#{caller.key_id}")


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_who_gets_what_with_the_scope_raw_ids(stage: Stage, upstream: Upstream, rows: list[Row], place: Place) -> None:
    foreign = make(stage, upstream, place, "blue")
    caller = stage.sign_in("red", scopes=("raw_ids:solo",))
    own = make(stage, upstream, place, "red")
    counted = [("UpdateItem", f"key#{caller.key_id}")] if load(place.function).handler.endpoint.counts else []
    takes_raw = place.kind is not Kind.UPLOAD and place.where != "after"

    def ask(text: str) -> tuple[Reply, list[Row]]:
        rows.clear()
        return place.call(stage, text), list(rows)

    same, _ = ask(signed(place.kind, new_record(), "blue"))
    assert (same.status, same.error["code"]) == (404, f"{place.kind}_not_found")
    before = _state(stage, upstream)
    for name, text in never_read(place, own, foreign).items():
        if takes_raw and name in {"no id", "the record"}:
            continue  # may well be somebody's id
        reply, asked = ask(text)
        assert (reply, asked) == (same, counted), name
    raw = without_scope(place, foreign)
    for name in ("raw of another team's known thing", "the same in LiteLLM's"):
        reply, asked = ask(raw[name])
        assert reply == same, name
        assert len(asked) == len(counted) + takes_raw, name
        assert all(partition.startswith("upstream#solo#") for _, partition in asked[len(counted) :]), name
    assert _state(stage, upstream) == before

    upstream.has_video("solo.example", RAW[Kind.VIDEO])
    upstream.has_character("solo.example", RAW[Kind.CHARACTER])
    for name in ("raw", "raw in LiteLLM's"):
        reply, asked = ask(raw[name])
        if not takes_raw:
            assert (reply, asked) == (same, counted), name
            continue
        if place.kind is Kind.VIDEO and place.function != "get_video" and name == "raw":
            assert (reply.status, reply.error["code"]) == (400, "video_not_ready")
            stage.run()  # it comes home
            reply, asked = ask(raw[name])
        if place.function.startswith("delete_") and name != "raw":
            assert reply == same  # gone with the first
            continue
        assert reply.status == place.own, (name, reply)
        assert {partition for _, partition in asked if partition.startswith("team#")} <= {"team#red"}
        if reply.body:
            answered = Kind.CHARACTER if place.function.endswith("_character") else Kind.VIDEO
            secrets.id_codec().decode(reply.body["id"], answered, team="red")
    if not takes_raw:
        assert _state(stage, upstream) == before


def _state(stage: Stage, upstream: Upstream) -> tuple[int, int]:
    return len(upstream.heard), len(stage.executions.started)


@pytest.mark.parametrize("text", ["video_xyz789", "file-abc", "", "x" * 5000])
def test_files_of_openai_are_refused_with_a_reason(stage: Stage, upstream: Upstream, text: str) -> None:
    reply = stage.create(model="solo", input_reference={"file_id": text})
    assert (reply.status, reply.error["param"]) == (400, "input_reference.file_id")
    assert upstream.heard == []


def test_lists_hold_only_ones_own(stage: Stage, upstream: Upstream) -> None:
    place = PLACES[2]
    make(stage, upstream, place, "blue")
    stage.sign_in("red")

    def listing(function: str) -> Any:
        return stage.call(function).body["data"]

    assert listing("list_videos") == listing("list_characters") == []
    own = make(stage, upstream, place, "red")
    assert [one["id"] for one in listing("list_videos")] == [own.ids[Kind.VIDEO]]
    assert [one["id"] for one in listing("list_characters")] == [own.ids[Kind.CHARACTER]]
