"""Every form of a body has one meaning, and no body costs more work than it should."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import multipart  # type: ignore[import-untyped]
import openai
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from understudy.api import bodies, forms
from understudy.api.bodies import parse
from understudy.api.fields import MAX_NAME
from understudy.api.forms import FilePart
from understudy.api.text import STATUS, BodyError

BOUNDARY = "luna-7c1"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
URLENCODED = "application/x-www-form-urlencoded"
JSON = "application/json"
MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(range(256))

Part = tuple[str, bytes]


def form(*parts: Part, end: bytes = b"--\r\n", boundary: str = BOUNDARY) -> bytes:
    """Return a multipart body of parts, given as their header lines and content."""
    delimiter = b"--" + boundary.encode()
    body = b"".join(delimiter + b"\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts)
    return body + delimiter + end


def text(name: str, value: str | bytes = "x", extra: str = "") -> Part:
    data = value.encode() if isinstance(value, str) else value
    return f'Content-Disposition: form-data; name="{name}"{extra}', data


def file(
    name: str, data: bytes = MP4, filename: str = "upload", content_type: str = "application/octet-stream"
) -> Part:
    return f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: {content_type}', data


def fields(*pairs: tuple[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parsed fields of the same pairs, sent as multipart and sent as urlencoded."""
    multi = parse(form(*(text(name, value) for name, value in pairs)), MULTIPART)
    return multi, parse(urlencode(pairs).encode(), URLENCODED)


def refusal(body: bytes, content_type: str | None) -> BodyError:
    with pytest.raises(BodyError) as caught:
        parse(body, content_type)
    assert STATUS[caught.value.code] == caught.value.status
    assert caught.value.message.endswith(".")
    return caught.value


# One meaning, many shapes

CHARACTERS = {"prompt": "Luna dances", "characters": [{"id": "char_1"}, {"id": "char_2"}]}
EDIT = {"prompt": "dusk", "video": {"id": "video_1"}}
P, D = text("prompt", "Luna dances"), text("prompt", "dusk")


@pytest.mark.parametrize(
    ("meaning", "body", "content_type"),
    [
        (CHARACTERS, json.dumps(CHARACTERS).encode(), JSON),
        (CHARACTERS, json.dumps(CHARACTERS).encode(), "Application/JSON; charset=UTF-8"),
        (CHARACTERS, json.dumps(CHARACTERS).encode(), None),
        (CHARACTERS, b"\n  " + json.dumps(CHARACTERS, indent=2).encode(), ""),
        (CHARACTERS, b"\xef\xbb\xbf" + json.dumps(CHARACTERS).encode(), JSON),
        (CHARACTERS, form(P, text("characters[][id]", "char_1"), text("characters[][id]", "char_2")), MULTIPART),
        (CHARACTERS, form(P, text("characters[0][id]", "char_1"), text("characters[1][id]", "char_2")), MULTIPART),
        (CHARACTERS, form(P, text("characters[1][id]", "char_2"), text("characters[0][id]", "char_1")), MULTIPART),
        (CHARACTERS, form(P, text("characters[7][id]", "char_1"), text("characters[9][id]", "char_2")), MULTIPART),
        (CHARACTERS, form(P, text("characters", '[{"id":"char_1"},{"id":"char_2"}]')), MULTIPART),
        (
            CHARACTERS,
            form(P, text("characters[]", '{"id":"char_1"}'), text("characters[]", '{"id":"char_2"}')),
            MULTIPART,
        ),
        (CHARACTERS, b"prompt=Luna+dances&characters[][id]=char_1&characters[][id]=char_2", URLENCODED),
        (CHARACTERS, b"prompt=Luna%20dances&characters%5B0%5D%5Bid%5D=char_1&characters[1][id]=char_2&", URLENCODED),
        (CHARACTERS, b"prompt=Luna+dances&characters=[{%22id%22:%22char_1%22},{%22id%22:%22char_2%22}]", URLENCODED),
        (EDIT, json.dumps(EDIT).encode(), JSON),
        (EDIT, form(D, text("video[id]", "video_1")), MULTIPART),
        (EDIT, form(D, text("video", ' {"id": "video_1"}')), MULTIPART),
        (EDIT, form(D, text("video", '{"id":"video_1"}', "\r\nContent-Type: application/json")), MULTIPART),
        (EDIT, form(D, file("video", b'{"id":"video_1"}', "blob", "application/json")), MULTIPART),
        (EDIT, b"prompt=dusk&video[id]=video_1", URLENCODED),
        (EDIT, b'prompt=dusk&video={"id":"video_1"}', URLENCODED + "; charset=utf-8"),
        ({"video": "video_1"}, form(text("video", "video_1")), MULTIPART),
        ({"video": "video_1"}, form(text("video", '"video_1"', "\r\nContent-Type: application/json")), MULTIPART),
        ({"video": "video_1"}, b"video=video_1", URLENCODED),
        ({"video": "video_1"}, b'{"video":"video_1"}', JSON),
    ],
)
def test_shapes_that_mean_the_same(meaning: dict[str, Any], body: bytes, content_type: str | None) -> None:
    assert parse(body, content_type) == meaning


@pytest.mark.parametrize("content_type", [None, "", JSON, MULTIPART, URLENCODED, "text/plain"])
def test_an_empty_body_has_no_fields(content_type: str | None) -> None:
    assert parse(b"", content_type) == {}


def test_only_structured_fields_are_read_as_json() -> None:
    assert fields(("prompt", '[{"a": 1}]')) == ({"prompt": '[{"a": 1}]'},) * 2
    assert parse(b"video={}", URLENCODED, structured=frozenset()) == {"video": "{}"}
    assert parse(b"lora={}", URLENCODED, structured=frozenset({"lora"})) == {"lora": {}}
    prompt = text("prompt", '{"a": 1}', "\r\nContent-Type: application/json")
    assert parse(form(prompt), MULTIPART) == {"prompt": '{"a": 1}'}
    assert fields(("video[id]", "{}")) == ({"video": {"id": "{}"}},) * 2


def test_json_keeps_its_types() -> None:
    body = b'{"a": null, "b": true, "c": 18446744073709551616, "d": -0.5, "e": [[], {}], "f": "\\u00e9\\ud83e\\udd8a"}'
    assert parse(body, JSON) == {"a": None, "b": True, "c": 2**64, "d": -0.5, "e": [[], {}], "f": "é🦊"}


# Forms as real clients write them


class Wiretap:
    """The real client with a transport that keeps the requests."""

    def __init__(self) -> None:
        self.request: httpx2.Request | None = None
        transport = httpx2.MockTransport(self.answer)
        http = httpx2.Client(transport=transport)
        self.client = openai.OpenAI(api_key="sk-x", base_url="http://gateway.test/v1", http_client=http, max_retries=0)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.request = request
        return httpx2.Response(418, json={})

    def sent(self, call: Callable[[Any], object]) -> tuple[dict[str, Any], str]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # every videos method has one
            with pytest.raises(openai.APIStatusError):
                call(self.client.videos)
        assert self.request is not None
        content_type = self.request.headers["content-type"]
        return parse(self.request.content, content_type), content_type.partition(";")[0]


@pytest.fixture(scope="module")
def wiretap() -> Wiretap:
    return Wiretap()


FORM = "multipart/form-data"
UPLOAD = FilePart("video", "upload", "application/octet-stream", memoryview(MP4))


def reference(filename: str, content_type: str) -> FilePart:
    return FilePart("input_reference", filename, content_type, memoryview(b"\x89PNG"))


@pytest.mark.parametrize(
    ("call", "media_type", "meaning"),
    [
        (
            lambda videos: videos.create(
                model="sora-2", prompt="Luna\nü", seconds="8", extra_body={"characters": [{"id": "a"}, {"id": "b"}]}
            ),
            FORM,
            {"model": "sora-2", "prompt": "Luna\nü", "seconds": "8", "characters": [{"id": "a"}, {"id": "b"}]},
        ),
        (
            lambda videos: videos.create(
                prompt="p", extra_body={"characters": [{"id": "a", "role": "x"}, {"id": "b", "role": "y"}]}
            ),
            FORM,
            {"prompt": "p", "characters": [{"id": "a", "role": "x"}, {"id": "b", "role": "y"}]},
        ),
        (
            lambda videos: videos.create(
                prompt="p", extra_body={"characters": ["a", "b"], "metadata": {"k": {"n": 1}}}
            ),
            FORM,
            {"prompt": "p", "characters": ["a", "b"], "metadata": {"k": {"n": "1"}}},
        ),
        (
            lambda videos: videos.create(
                prompt="p", input_reference=b"\x89PNG", extra_body={"characters": [{"id": "a"}]}
            ),
            FORM,
            {
                "prompt": "p",
                "characters": [{"id": "a"}],
                "input_reference": reference("upload", "application/octet-stream"),
            },
        ),
        (
            lambda videos: videos.create(prompt="p", input_reference=('ü"1.png', b"\x89PNG", "image/png")),
            FORM,
            {"prompt": "p", "input_reference": reference('ü"1.png', "image/png")},
        ),
        (
            lambda videos: videos.create(prompt="p", extra_body={"input_reference": {"image_url": "https://a.test/1"}}),
            FORM,
            {"prompt": "p", "input_reference": {"image_url": "https://a.test/1"}},
        ),
        (
            lambda videos: videos.create(
                prompt="p",
                extra_body={"characters": [{"id": "a"}]},
                extra_headers={"Content-Type": "application/json"},
            ),
            JSON,
            {"prompt": "p", "characters": [{"id": "a"}]},
        ),
        (
            lambda videos: videos.create_character(name="Luna", video=MP4),
            FORM,
            {"name": "Luna", "video": UPLOAD},
        ),
        (
            lambda videos: videos.edit(prompt="p", video=openai.omit, extra_body={"video": {"id": "v"}}),
            FORM,
            {"prompt": "p", "video": {"id": "v"}},
        ),
        (lambda videos: videos.edit(prompt="p", video=MP4), FORM, {"prompt": "p", "video": UPLOAD}),
        (
            lambda videos: videos.extend(prompt="p", seconds="8", video=openai.omit, extra_body={"video": {"id": "v"}}),
            FORM,
            {"prompt": "p", "seconds": "8", "video": {"id": "v"}},
        ),
        (
            lambda videos: videos.extend(
                prompt="p",
                seconds="8",
                video=openai.omit,
                extra_body={"video": {"id": "v"}},
                extra_headers={"Content-Type": "application/json"},
            ),
            JSON,
            {"prompt": "p", "seconds": "8", "video": {"id": "v"}},
        ),
        (lambda videos: videos.remix("video_1", prompt="p"), JSON, {"prompt": "p"}),
    ],
)
def test_openai_python(
    wiretap: Wiretap, call: Callable[[Any], object], media_type: str, meaning: dict[str, Any]
) -> None:
    assert wiretap.sent(call) == (meaning, media_type)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["id", "role", "weight", "note"]), min_size=1, unique=True).flatmap(
        lambda keys: st.lists(
            st.fixed_dictionaries({key: st.text("abcé&=[]%\"'\r\n-{", min_size=1) for key in keys}),
            min_size=1,
            max_size=9,
        )
    )
)
def test_openai_python_with_any_array_of_alike_objects(rows: list[dict[str, str]]) -> None:
    sent, _ = Wiretap().sent(lambda videos: videos.create(prompt="p", extra_body={"metadata": {"rows": rows}}))
    assert sent == {"prompt": "p", "metadata": {"rows": rows}}


# Bytes sent by curl 7.88.1, captured on 2026-11-22: -F video=@luna.mp4 -F name=Zoë -F 'characters=[{"id":"char_1"}];
# type=application/json' -F 'video[id]=video_1' -F 'input_reference=@we"ird.png;type=image/png' and so on.
CURL_BOUNDARY = "------------------------cbf376681c49309a"
CURL = f"multipart/form-data; boundary={CURL_BOUNDARY}"


def test_curl() -> None:
    body = form(
        file("video", MP4, "luna.mp4"),
        text("name", "Zoë"),
        text("characters", '[{"id":"char_1"}]', "\r\nContent-Type: application/json"),
        file("input_reference", b"\x89PNG", "we%22ird.png", "image/png"),
        boundary=CURL_BOUNDARY,
    )
    assert parse(body, CURL) == {
        "video": FilePart("video", "luna.mp4", "application/octet-stream", memoryview(MP4)),
        "name": "Zoë",
        "characters": [{"id": "char_1"}],
        "input_reference": reference('we"ird.png', "image/png"),
    }
    # -F 'video=<luna.mp4;type=video/mp4': a file without a file name
    unnamed = form(text("video", MP4, "\r\nContent-Type: video/mp4"), boundary=CURL_BOUNDARY)
    assert parse(unnamed, CURL) == {"video": FilePart("video", None, "video/mp4", memoryview(MP4))}
    # --data-urlencode 'prompt=Luna & é' -d 'characters[][id]=a', and -d with raw UTF-8
    assert parse(b"prompt=Luna+%26+%C3%A9&characters[][id]=a", URLENCODED) == {
        "prompt": "Luna & é",
        "characters": [{"id": "a"}],
    }
    assert parse("prompt=é 100%".encode(), URLENCODED) == {"prompt": "é 100%"}


def test_openai_node() -> None:
    """A body as openai-node 6.49.0 on Node 20 wrote it on 2026-11-22 is understood.

    The client sends arrays element by element, and quotes in names as %22.
    """
    boundary = "----formdata-undici-074119543770"
    content_type = "multipart/form-data; boundary=" + boundary
    pairs = [("prompt", "p"), ("characters[][id]", "a"), ("characters[][x]", "1"), ("characters[][id]", "b")]
    pairs += [("characters[][x]", "2"), ("metadata[k][]", "1"), ("metadata[k][]", "2")]
    assert parse(form(*(text(name, value) for name, value in pairs), boundary=boundary), content_type) == {
        "prompt": "p",
        "characters": [{"id": "a", "x": "1"}, {"id": "b", "x": "2"}],
        "metadata": {"k": ["1", "2"]},
    }
    character = form(text("name", "Luna"), file("video", MP4, "lu%22na ü.mp4", "video/mp4"), boundary=boundary)
    assert parse(character, content_type) == {
        "name": "Luna",
        "video": FilePart("video", 'lu"na ü.mp4', "video/mp4", memoryview(MP4)),
    }
    assert parse(form(text("video[id]", "v"), boundary=boundary), content_type) == {"video": {"id": "v"}}


def test_headers_as_dotnet_writes_them() -> None:
    """Headers as .NET writes them are understood.

    They have unquoted names, a second file name in RFC 5987's form, a charset on texts, and a quoted boundary.
    """
    head = "Content-Disposition: form-data; name="
    body = form(
        ("Content-Type: text/plain; charset=utf-8\r\n" + head + "name", b"Luna"),
        ("Content-Type: video/mp4\r\n" + head + "video; filename=luna.mp4; filename*=utf-8''luna.mp4", MP4),
    )
    assert parse(body, f'multipart/form-data; boundary="{BOUNDARY}"') == {
        "name": "Luna",
        "video": FilePart("video", "luna.mp4", "video/mp4", memoryview(MP4)),
    }


# Brackets


@pytest.mark.parametrize(
    ("pairs", "meaning"),
    [
        ([("a[b]", "1"), ("a[c]", "2")], {"a": {"b": "1", "c": "2"}}),
        ([("a[b][c]", "1"), ("a[b][d]", "2")], {"a": {"b": {"c": "1", "d": "2"}}}),
        ([("a[]", "1"), ("a[]", "2")], {"a": ["1", "2"]}),
        ([("a[]", "1")], {"a": ["1"]}),
        ([("a[][id]", "1"), ("a[][x]", "2"), ("a[][id]", "3")], {"a": [{"id": "1", "x": "2"}, {"id": "3"}]}),
        ([("a[][id]", "1"), ("a[][id]", "3")], {"a": [{"id": "1"}, {"id": "3"}]}),
        (
            [("a[][id]", "1"), ("a[][x]", "2"), ("a[][id]", "3"), ("a[][x]", "4")],
            {"a": [{"id": "1", "x": "2"}, {"id": "3", "x": "4"}]},
        ),
        (
            [("a[][id]", "1"), ("a[][id]", "3"), ("a[][x]", "2"), ("a[][x]", "4")],
            {"a": [{"id": "1", "x": "2"}, {"id": "3", "x": "4"}]},
        ),
        (
            [("a[][b][c]", "1"), ("a[][b][d]", "2"), ("a[][b][c]", "3")],
            {"a": [{"b": {"c": "1", "d": "2"}}, {"b": {"c": "3"}}]},
        ),
        ([("a[][n][0]", "1"), ("a[][n][1]", "2")], {"a": [{"n": ["1", "2"]}]}),
        ([("a[10]", "c"), ("a[9]", "b"), ("a[0]", "a")], {"a": ["a", "b", "c"]}),
        ([("a[9999][id]", "1")], {"a": [{"id": "1"}]}),
        ([("a[0][b][]", "1"), ("a[0][b][]", "2")], {"a": [{"b": ["1", "2"]}]}),
        ([("a[1][2][3][4][5][6][7][8]", "x")], {"a": [[[[[[[["x"]]]]]]]]}),
        ([("__proto__[x]", "1"), ("constructor", "2")], {"__proto__": {"x": "1"}, "constructor": "2"}),
        ([("a b[c d]", "")], {"a b": {"c d": ""}}),
        ([("1", "x"), ("00", "y")], {"1": "x", "00": "y"}),
    ],
)
def test_brackets_unfold(pairs: list[tuple[str, str]], meaning: dict[str, Any]) -> None:
    assert fields(*pairs) == (meaning, meaning)


@pytest.mark.parametrize(
    ("names", "code", "param"),
    [
        (["a", "a"], "duplicate_field", "a"),
        (["a[b]", "a[b]"], "duplicate_field", "a[b]"),
        (["a[0]", "a[0]"], "duplicate_field", "a[0]"),
        (["a", "a[b]"], "duplicate_field", "a"),
        (["a[b]", "a"], "duplicate_field", "a"),
        (["a", "a[]"], "duplicate_field", "a"),
        (["a[b]", "a[b][c]"], "duplicate_field", "a[b]"),
        (["a[]", "a[0]"], "ambiguous_field", "a"),
        (["a[]", "a[b]"], "ambiguous_field", "a"),
        (["a[0]", "a[b]"], "ambiguous_field", "a"),
        (["a[]", "a[][b]"], "duplicate_field", "a[]"),
        (["a[][b]", "a[][b][c]"], "duplicate_field", "a[][b]"),
        (["a[][id]", "a[][id]", "a[][x]"], "ambiguous_field", "a[]"),
        (["a[][]"], "ambiguous_field", "a[][]"),
        (["a[][b][]"], "ambiguous_field", "a[][b][]"),
        (["a[00]"], "malformed_field_name", "a[00]"),
        (["a[10000]"], "malformed_field_name", "a[10000]"),
        (["a[٣]"], "malformed_field_name", "a[٣]"),
        (["a[b"], "malformed_field_name", "a[b"),
        (["a]b"], "malformed_field_name", "a]b"),
        (["a[[[[["], "malformed_field_name", "a[[[[["),
        (["a[[b]]"], "malformed_field_name", "a[[b]]"),
        (["a[b]c"], "malformed_field_name", "a[b]c"),
        (["[a]"], "malformed_field_name", "[a]"),
        ([""], "malformed_field_name", ""),
        (["a" * 257], "malformed_field_name", "a" * 256),
        (["a" + "[b]" * 9], "nesting_too_deep", "a" + "[b]" * 9),
    ],
)
def test_brackets_refused(names: list[str], code: str, param: str) -> None:
    for body, content_type in (
        (form(*map(text, names)), MULTIPART),
        (urlencode([(name, "x") for name in names]).encode(), URLENCODED),
    ):
        error = refusal(body, content_type)
        assert (error.code, error.param) == (code, param)


def test_a_field_given_twice_is_never_the_last_one() -> None:
    for parts in (
        [file("video"), file("video")],
        [file("video"), text("video[id]", "v")],
        [text("video"), file("video")],
    ):
        error = refusal(form(*parts), MULTIPART)
        assert (error.code, error.param) == ("duplicate_field", "video")


# Files


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("luna.mp4", "luna.mp4"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:\\clips\\luna.mp4", "luna.mp4"),
        ("/", None),
        ("..", None),
        ("a/..", None),
        ("", None),
        ("%0D%0AX-Evil: 1", "X-Evil: 1"),
        ("a\x1bb\u202ec", "abc"),
        ("é" * 400, "é" * 255),
        ("a;b=c; name=d", "a;b=c; name=d"),
    ],
)
def test_file_names_are_base_names(sent: str, kept: str | None) -> None:
    assert parse(form(file("video", filename=sent)), MULTIPART) == {
        "video": FilePart("video", kept, "application/octet-stream", memoryview(MP4))
    }


@pytest.mark.parametrize("claim", ["text/plain", "text/plain; charset=utf-16", JSON, "image/png", "nonsense", ""])
def test_a_file_stays_a_file_whatever_its_type_claims(claim: str) -> None:
    part = parse(form(file("video", content_type=claim)), MULTIPART)["video"]
    assert isinstance(part, FilePart)
    assert part.data == MP4
    assert part.content_type == claim.partition(";")[0]


def test_a_file_without_a_name_says_what_to_do() -> None:
    error = refusal(form(text("video", b"\xff\xd8\xff")), MULTIPART)
    assert (error.code, error.param) == ("malformed_text", "video")
    assert "file name" in error.message


def test_a_file_is_a_view_and_never_a_copy() -> None:
    clip = b"\r\n--luna\r".join([MP4 * 400] * 43)
    body = form(text("name", "Luna"), file("video", clip, "luna.mp4"))
    assert len(body) > 4_400_000
    parse(body, MULTIPART)  # imports what it needs, outside of the measurement
    tracemalloc.start()
    part = parse(body, MULTIPART)["video"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(part, FilePart)
    assert part.data.obj is body
    assert part.data == clip
    assert peak < 512 * 1024


def test_the_multipart_parser_sees_each_byte_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0

    class Counting(multipart.PushMultipartParser):  # type: ignore[misc]
        def parse(self, chunk: bytes) -> Any:
            nonlocal seen
            seen += len(chunk)
            return super().parse(chunk)

    monkeypatch.setattr(multipart, "PushMultipartParser", Counting)
    body = form(*[file(f"f{number}", MP4 * 99) for number in range(60)])
    assert len(parse(body, MULTIPART)) == 60
    assert seen == len(body)


# Refusals

NESTED = "multipart/mixed; boundary=inner"


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        pytest.param(form(text("a")), "multipart/form-data", "malformed_multipart", id="no boundary"),
        pytest.param(form(text("a")), "multipart/form-data; boundary=", "malformed_multipart", id="empty boundary"),
        pytest.param(form(text("a")), 'multipart/form-data; boundary="luna', "malformed_multipart", id="open quote"),
        pytest.param(form(text("a")), MULTIPART + "x", "malformed_multipart", id="another boundary"),
        pytest.param(
            form(text("a"), boundary="b" * 71),
            "multipart/form-data; boundary=" + "b" * 71,
            "malformed_multipart",
            id="71",
        ),
        pytest.param(
            form(text("a")), "multipart/form-data; boundary=" + "b" * 10**6, "unsupported_media_type", id="huge"
        ),
        pytest.param(form(text("a")), MULTIPART + ";" * 10**6, "unsupported_media_type", id="a million semicolons"),
        pytest.param(b"junk\r\n" + form(text("a")), MULTIPART, "malformed_multipart", id="preamble"),
        pytest.param(b"\n" + form(text("a")), MULTIPART, "malformed_multipart", id="preamble of a line feed"),
        pytest.param(b"junk" * 10**6, MULTIPART, "malformed_multipart", id="preamble only"),
        pytest.param(form(text("a")) + b"junk", MULTIPART, "malformed_multipart", id="epilogue"),
        pytest.param(form(text("a")) + form(text("b")), MULTIPART, "malformed_multipart", id="second form"),
        pytest.param(form(text("a")) + b"\r\n" * 10**6 + b"x", MULTIPART, "malformed_multipart", id="long epilogue"),
        pytest.param(form(text("a"), end=b"\r\n"), MULTIPART, "malformed_multipart", id="no final boundary"),
        pytest.param(form(text("a"), end=b"-"), MULTIPART, "malformed_multipart", id="cut in the final boundary"),
        pytest.param(form(file("video"))[:300], MULTIPART, "malformed_multipart", id="cut in a file"),
        pytest.param(form(file("video"))[:40], MULTIPART, "malformed_multipart", id="cut in the headers"),
        pytest.param(form(text("a")).replace(b"\r\n", b"\n"), MULTIPART, "malformed_multipart", id="line feeds only"),
        pytest.param(form(("X: 1", b"x")), MULTIPART, "malformed_multipart", id="no disposition"),
        pytest.param(form(("", b"x")), MULTIPART, "malformed_multipart", id="no headers"),
        pytest.param(form(("no colon", b"x")), MULTIPART, "malformed_multipart", id="no colon"),
        pytest.param(
            form(("Content-Disposition: attachment; name=a", b"x")), MULTIPART, "malformed_multipart", id="attachment"
        ),
        pytest.param(form(("Content-Disposition: form-data", b"x")), MULTIPART, "malformed_field_name", id="no name"),
        pytest.param(
            form((text("a")[0] + "\r\n" + text("b")[0], b"x")), MULTIPART, "malformed_multipart", id="two names"
        ),
        pytest.param(
            form(text("a", extra="\r\nContent-Type: a/b\r\nContent-Type: text/plain")),
            MULTIPART,
            "malformed_multipart",
            id="two types",
        ),
        pytest.param(
            form(text("a", "eA==", "\r\nContent-Transfer-Encoding: base64")),
            MULTIPART,
            "malformed_multipart",
            id="transfer encoding",
        ),
        pytest.param(
            form(text("a", form(text("b"), boundary="inner"), "\r\nContent-Type: " + NESTED)),
            MULTIPART,
            "malformed_multipart",
            id="nested multipart",
        ),
        pytest.param(form(text("a", extra="\r\nContent-Length: -1")), MULTIPART, "malformed_multipart", id="length -1"),
        pytest.param(
            form(text("a", extra="\r\nContent-Length: 2")), MULTIPART, "malformed_multipart", id="length 2 of 1"
        ),
        pytest.param(
            form(text("a", extra="\r\nContent-Length: 0")), MULTIPART, "malformed_multipart", id="length 0 of 1"
        ),
        pytest.param(form(text("a", extra="\r\nContent-Length: +1")), MULTIPART, "malformed_multipart", id="length +1"),
        pytest.param(
            form(text("a", extra="\r\nContent-Length: " + "9" * 5000)),
            MULTIPART,
            "malformed_multipart",
            id="length 9..",
        ),
        pytest.param(
            form(text("a")).replace(b'"a"', b'"\xff"'),
            MULTIPART,
            "malformed_multipart",
            id="name not UTF-8",
        ),
        pytest.param(form(text("%0D%0Aa")), MULTIPART, "malformed_field_name", id="line break in a name"),
        pytest.param(form(text("a\0b")), MULTIPART, "malformed_field_name", id="NUL in a name"),
        pytest.param(form(text("a", "x\0y")), MULTIPART, "malformed_text", id="NUL in a text"),
        pytest.param(form(text("a", b"\xe9")), MULTIPART, "malformed_text", id="Latin-1 text"),
        pytest.param(form(text("a", b"\xed\xa0\x80")), MULTIPART, "malformed_text", id="surrogate in UTF-8"),
        pytest.param(
            form(text("a", b"\xe9", "\r\nContent-Type: text/plain; charset=latin-1")),
            MULTIPART,
            "unsupported_charset",
            id="declared Latin-1",
        ),
        pytest.param(
            form(text("a")), MULTIPART + "; charset=utf-16", "unsupported_charset", id="form of another charset"
        ),
        pytest.param(form(text("video", "{x}")), MULTIPART, "malformed_json", id="JSON field that is none"),
        pytest.param(form(text("video", "[" * 40 + "]" * 40)), MULTIPART, "nesting_too_deep", id="deep JSON field"),
        pytest.param(form(*[text(f"f{number}") for number in range(65)]), MULTIPART, "too_many_fields", id="65 parts"),
        pytest.param(form(*[text("a", b"")] * 10**5), MULTIPART, "too_many_fields", id="100000 parts"),
        pytest.param(form(text("a", extra="\r\nX: 1" * 16)), MULTIPART, "headers_too_large", id="17 headers"),
        pytest.param(form(text("a", extra="\r\nX: 1" * 10**6)), MULTIPART, "headers_too_large", id="endless headers"),
        pytest.param(form(text("a", extra="\r\nX: " + "1" * 8193)), MULTIPART, "headers_too_large", id="long header"),
        pytest.param(form(("X: " + "1" * 10**7, b"")), MULTIPART, "headers_too_large", id="endless header"),
        pytest.param(
            b"--" + BOUNDARY.encode() + b"\r\n" + b"a" * 10**7, MULTIPART, "headers_too_large", id="no header end"
        ),
        pytest.param(
            form(text("a"), *[text(f"f{number}") for number in range(62)], text("z", extra="\r\nX: 1" * 16)),
            MULTIPART,
            "headers_too_large",
            id="17 headers in part 64",
        ),
        pytest.param(b"\xff=1", URLENCODED, "malformed_text", id="not UTF-8"),
        pytest.param(b"a=%FF", URLENCODED, "malformed_text", id="not UTF-8, encoded"),
        pytest.param(b"a=%ED%A0%80", URLENCODED, "malformed_text", id="surrogate, encoded"),
        pytest.param(b"a=x%00y", URLENCODED, "malformed_text", id="NUL, encoded"),
        pytest.param(b"a%00b=x", URLENCODED, "malformed_field_name", id="NUL in a name, encoded"),
        pytest.param(form(text("a")), URLENCODED, "malformed_field_name", id="multipart that claims to be urlencoded"),
        pytest.param(b"&".join(b"a%d=1" % n for n in range(257)), URLENCODED, "too_many_fields", id="257 fields"),
        pytest.param(b"&" * 10**6, URLENCODED, "too_many_fields", id="a million ampersands"),
        pytest.param(b"a=" + b"x" * 2**20, URLENCODED, "body_too_large", id="over 1 MiB"),
        pytest.param(b'{"prompt": "x"}', URLENCODED, "unsupported_media_type", id="curl -d without a header"),
        pytest.param(b'{"prompt": "x"}', "text/plain", "unsupported_media_type", id="JSON as text"),
        pytest.param(b"prompt=x", None, "unsupported_media_type", id="no type"),
        pytest.param(b"prompt=x", "text/plain", "unsupported_media_type", id="text"),
        pytest.param(MP4, "video/mp4", "unsupported_media_type", id="a bare video"),
        pytest.param(form(text("a")), "multipart/mixed; boundary=" + BOUNDARY, "unsupported_media_type", id="mixed"),
        pytest.param(b"{", JSON, "malformed_json", id="open object"),
        pytest.param(b"   ", JSON, "malformed_json", id="blank"),
        pytest.param(b"{}x", JSON, "malformed_json", id="trailing garbage"),
        pytest.param(b"{}{}", JSON, "malformed_json", id="two documents"),
        pytest.param(b"[]", JSON, "malformed_json", id="array"),
        pytest.param(b'"x"', JSON, "malformed_json", id="string"),
        pytest.param(b"{'a': 1}", JSON, "malformed_json", id="Python's quotes"),
        pytest.param(b'{"a": NaN}', JSON, "malformed_json", id="NaN"),
        pytest.param(b'{"a": -Infinity}', JSON, "malformed_json", id="-Infinity"),
        pytest.param(b'{"a": 1e999}', JSON, "malformed_json", id="1e999"),
        pytest.param(b'{"a": ' + b"9" * 65 + b"}", JSON, "malformed_json", id="65 digits"),
        pytest.param(b'{"a": 0.' + b"9" * 10**6 + b"}", JSON, "malformed_json", id="a million decimals"),
        pytest.param(b'{"a": "x\ny"}', JSON, "malformed_json", id="raw line break"),
        pytest.param(b'{"a": "\xe9"}', JSON, "malformed_text", id="Latin-1 JSON"),
        pytest.param('{"a": 1}'.encode("utf-16"), JSON, "malformed_text", id="UTF-16 JSON"),
        pytest.param('{"a": 1}'.encode("utf-16-le"), JSON, "malformed_text", id="UTF-16 JSON without mark"),
        pytest.param(b"{}", JSON + "; charset=iso-8859-1", "unsupported_charset", id="JSON of another charset"),
        pytest.param(b'{"a": "\\u0000"}', JSON, "malformed_text", id="NUL, escaped"),
        pytest.param(b'{"a": ["\\ud83e"]}', JSON, "malformed_text", id="half a pair"),
        pytest.param(b'{"\\udd8a": 1}', JSON, "malformed_text", id="half a pair as key"),
        pytest.param(b'{"a": {"b": 1, "b": 2}}', JSON, "duplicate_field", id="key twice"),
        pytest.param(b'{"a": ' * 33 + b"1" + b"}" * 33, JSON, "nesting_too_deep", id="33 levels"),
        pytest.param(b"[" * 10**7, JSON, "nesting_too_deep", id="10 MB of ["),
        pytest.param(b'{"a":' * 10**6, None, "nesting_too_deep", id='5 MB of {"a":'),
        pytest.param(b'{"a":[' + b"[]," * 10**6 + b"[]]}", JSON, "too_many_fields", id="a million arrays"),
        pytest.param(b'{"a":"' + b'\\"' * 20_000, JSON, "malformed_json", id="open string of escapes"),
        pytest.param(b'"' * 10**7, JSON, "too_many_fields", id="10 MB of quotes"),
        pytest.param(b"\\" * 10**7, JSON, "malformed_json", id="10 MB of backslashes"),
    ],
)
def test_refusals_are_cheap(body: bytes, content_type: str, code: str) -> None:
    started = time.process_time()
    error = refusal(body, content_type)
    assert error.code == code
    assert time.process_time() - started < 2
    assert len(error.message) < 400
    assert len(error.param or "") <= MAX_NAME


def test_refusals_name_the_field() -> None:
    assert refusal(form(text("video", "{x}")), MULTIPART).param == "video"
    assert refusal(b'{"prompt": "\\u0000"}', JSON).param == "prompt"
    assert refusal(b'{"a": 1, "a": 2}', JSON).param == "a"
    assert refusal(b"characters=[{%22id%22:1,%22id%22:2}]", URLENCODED).param == "characters"
    assert refusal(form(text("name", "\0")), MULTIPART).param == "name"


def test_what_is_just_within_the_limits() -> None:
    assert len(parse(form(*[text(f"f{number}") for number in range(64)]), MULTIPART)) == 64
    assert parse(form(text("a", extra="\r\nX: 1" * 15)), MULTIPART) == {"a": "x"}
    assert parse(form(text("a", extra="\r\nX: " + "1" * 8000)), MULTIPART) == {"a": "x"}
    assert len(parse(b"&".join(b"a%d=1" % number for number in range(256)), URLENCODED)) == 256
    assert parse(b'{"a":' * 32 + b"1" + b"}" * 32, JSON)
    assert parse(b'{"a":' + b"9" * 64 + b"}", JSON) == {"a": int("9" * 64)}
    data_url = "data:image/png;base64," + "A" * 4_000_000
    assert parse(json.dumps({"input_reference": {"image_url": data_url}}).encode(), JSON) == {
        "input_reference": {"image_url": data_url}
    }
    assert parse(form(text("a", extra=";;; ; x=y;;")), MULTIPART) == {"a": "x"}
    assert parse(b"\r\n" + form(text("a")) + b" \r\n\r\n", MULTIPART) == {"a": "x"}
    assert parse(b"a=1;b=2&&", URLENCODED) == {"a": "1;b=2"}
    assert parse(form(), MULTIPART) == {}


def test_hostile_json_needs_no_memory_beyond_its_text() -> None:
    for body in (b'{"a":[' + b"{}," * 2_000_000, b"[" * 6_000_000, b'{"a":"' + b"\\u00e9" * 10**6):
        tracemalloc.start()
        refusal(body, JSON)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2 * len(body) + 2**20


def test_the_json_limit_is_for_all_fields_together() -> None:
    half = "[" + "1," * (bodies.MAX_JSON_TOKENS // 2) + "1]"
    assert parse(form(text("video", half)), MULTIPART)
    assert refusal(form(text("video", half), text("characters", half)), MULTIPART).code == "too_many_fields"


def test_importing_it_loads_little() -> None:
    late = {"json", "multipart", "urllib.parse"}
    code = f"import sys, understudy.api.bodies; print([name for name in {late} if name in sys.modules])"
    layer = Path(bodies.__file__).parents[2]
    ran = subprocess.run([sys.executable, "-c", code], cwd=layer, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


# Properties

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
scalars = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    scalars | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
# Names that each form can spell: quotes, percent signs and backslashes have no spelling in multipart that all agree on.
steps = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='[]%"\\'), min_size=1, max_size=20
).filter(lambda step: not step.isdecimal())
trees = st.dictionaries(
    steps,
    st.recursive(
        texts,
        lambda inner: st.lists(inner, min_size=1, max_size=4) | st.dictionaries(steps, inner, min_size=1, max_size=4),
        max_leaves=12,
    ),
    min_size=1,
    max_size=4,
)


def flat(value: Any, name: str) -> list[tuple[str, str]]:
    """Return the tree as form fields with numbered brackets."""
    if isinstance(value, dict):
        return [pair for key, item in value.items() for pair in flat(item, f"{name}[{key}]" if name else key)]
    if isinstance(value, list):
        return [pair for number, item in enumerate(value) for pair in flat(item, f"{name}[{number}]")]
    return [(name, value)]


def spellable(pairs: list[tuple[str, str]]) -> bool:
    return len(pairs) <= 64 and all(len(name) <= 256 and name.count("[") <= 8 for name, _ in pairs)


@settings(deadline=None)
@given(st.dictionaries(texts, json_values, max_size=4), st.booleans())
def test_any_json_object_survives(value: dict[str, Any], ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode(), JSON) == value


@settings(deadline=None)
@given(trees.filter(lambda tree: spellable(flat(tree, ""))), st.randoms(use_true_random=False))
def test_any_structure_is_the_same_in_every_form(tree: dict[str, Any], random: Any) -> None:
    pairs = flat(tree, "")
    random.shuffle(pairs)
    none = frozenset[str]()
    assert parse(json.dumps(tree).encode(), JSON) == tree
    assert parse(urlencode(pairs).encode(), URLENCODED, structured=none) == tree
    assert parse(form(*(text(name, value) for name, value in pairs)), MULTIPART, structured=none) == tree


@settings(deadline=None)
@given(st.dictionaries(texts, json_values, max_size=4))
def test_a_structured_field_may_be_json_text_in_any_form(value: dict[str, Any]) -> None:
    written = json.dumps(value)
    assert fields(("video", written)) == ({"video": value},) * 2
    assert fields(("characters[]", written), ("characters[]", written)) == ({"characters": [value, value]},) * 2


@settings(deadline=None)
@given(st.lists(st.fixed_dictionaries({"id": texts}, optional={"role": texts}), min_size=1, max_size=8))
def test_an_array_of_objects_is_read_right_or_not_at_all(rows: list[dict[str, str]]) -> None:
    """An array that is sent element by element, as openai-node does, is read correctly or refused."""
    pairs = [(f"a[][{key}]", row[key]) for row in rows for key in sorted(row)]
    try:
        assert fields(*pairs) == ({"a": rows},) * 2
    except BodyError as error:
        assert error.code == "ambiguous_field"
        assert 0 < sum("role" in row for row in rows) < len(rows)


NEAR_BOUNDARY = [
    b"\r",
    b"\n",
    b"\r\n",
    b"-",
    b"--",
    b"\r\n--",
    BOUNDARY.encode(),
    b"\r\n--luna",
    b"x",
    b"\r\n\r\n",
    b"\0",
]


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(NEAR_BOUNDARY), max_size=12).map(b"".join), min_size=1, max_size=4),
    st.integers(1, 40),
)
@example([b"\r\n--luna-7c\r\n--luna-7c"], 1)
def test_file_contents_are_whole_wherever_the_chunks_end(contents: list[bytes], chunk: int) -> None:
    contents = [content.replace(f"\r\n--{BOUNDARY}".encode(), b"") for content in contents]
    if any(f"\r\n--{BOUNDARY}".encode() in b"\r\n" + content for content in contents):
        return
    body = form(*(file(f"f{number}", content) for number, content in enumerate(contents)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "_CHUNK", chunk)
        parsed = parse(body, MULTIPART)
    assert [part.data for part in parsed.values() if isinstance(part, FilePart)] == contents
    assert all(part.data.obj is body for part in parsed.values() if isinstance(part, FilePart))


VALID = form(text("prompt", "é"), text("characters[][id]", "a"), file("video"), text("video2", '{"id": 1}'))


@settings(deadline=None)
@given(st.data())
def test_no_body_ends_in_anything_but_fields_or_a_refusal(data: st.DataObject) -> None:
    content_type = data.draw(st.sampled_from([None, JSON, MULTIPART, URLENCODED, "multipart/form-data"]) | st.text())
    body = data.draw(
        st.binary()
        | st.builds(
            lambda base, start, length, patch: base[:start] + patch + base[start + length :],
            st.sampled_from([VALID, b'{"a": [{"id": "\\u00e9"}]}', b"a[0][b]=1&a[1][c]=%41"]),
            st.integers(0, len(VALID)),
            st.integers(0, 9),
            st.binary(max_size=9) | st.sampled_from(NEAR_BOUNDARY),
        )
    )
    try:
        assert isinstance(parse(body, content_type), dict)
    except BodyError as error:
        assert error.status in (400, 413, 415)
