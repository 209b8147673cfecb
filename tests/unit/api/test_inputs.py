"""Images and clips that come with a request are recognised by their bytes."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from tests.fakes.stage import Reply, Stage
from tests.fakes.upstream import MP4, Answering, Upstream, lose
from understudy.api import inputs

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x05\0\0\0\x02\xd0\x08\x02\0\0\0" + b"\0" * 50
JPEG = b"\xff\xd8\xff\xc0\0\x11\x08\x02\xd0\x05\0\x03" + b"\0" * 50
WEBP = b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x04\0\xcf\x02\0" + b"\0" * 20
URL = "https://pictures.example/first.png"


def sent(upstream: Upstream) -> Any:
    """Return the image of the only order."""
    (submit,) = upstream.submits()
    return submit.body["input_reference"]


def create(stage: Stage, reference: Any) -> Reply:
    return stage.create(model="solo", input_reference=reference)


@pytest.mark.parametrize(("data", "mime_type"), [(PNG, "image/png"), (JPEG, "image/jpeg"), (WEBP, "image/webp")])
class TestForms:
    def test_a_file_of_any_declared_type(self, stage: Stage, upstream: Upstream, data: bytes, mime_type: str) -> None:
        form: list[tuple[str, Any]] = [("prompt", "x"), ("model", "solo")]
        form.append(("input_reference", ("upload", data, "application/octet-stream")))
        assert stage.call("create_video", form=form).status == 200
        image = sent(upstream)
        assert (bytes(image.data), image.content_type) == (data, mime_type)

    def test_a_data_url(self, stage: Stage, upstream: Upstream, data: bytes, mime_type: str) -> None:
        url = f"data:text/plain;base64,{base64.b64encode(data).decode()}"
        assert create(stage, {"image_url": url}).status == 200
        assert (bytes(sent(upstream).data), sent(upstream).content_type) == (data, mime_type)

    def test_a_url(self, stage: Stage, upstream: Upstream, data: bytes, mime_type: str) -> None:
        upstream.rules["GET", "pictures.example", ""] = lambda request: httpx.Response(200, content=data)
        assert create(stage, URL).status == 200
        assert (bytes(sent(upstream).data), sent(upstream).content_type) == (data, mime_type)
        assert "authorization" not in upstream.heard[0].headers

    def test_openai_pythons_brackets(self, stage: Stage, upstream: Upstream, data: bytes, mime_type: str) -> None:
        url = f"data:{mime_type};base64,{base64.b64encode(data).decode()}"
        form = [("prompt", "x"), ("model", "solo"), ("input_reference[image_url]", url)]
        assert stage.call("create_video", form=form).status == 200
        assert bytes(sent(upstream).data) == data


def endless(request: httpx.Request) -> httpx.Response:
    class Stream(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            for _ in range(inputs.MAX_IMAGE // 2**20 + 5):
                yield PNG + bytes(2**20)

    return httpx.Response(200, stream=Stream())


@pytest.mark.parametrize(
    "answering",
    [
        lambda request: httpx.Response(404, content=PNG),
        lambda request: httpx.Response(200, content=b"<html>"),
        lambda request: httpx.Response(200, content=b""),
        lambda request: httpx.Response(302, headers={"location": "ftp://pictures.example/"}),
        lambda request: httpx.Response(302, headers={"location": "/again"}),
        lose(httpx.ConnectError),
        lose(httpx.ReadTimeout),
        endless,
    ],
)
def test_a_url_that_leads_to_no_image(stage: Stage, upstream: Upstream, answering: Answering) -> None:
    upstream.rules["GET", "pictures.example", ""] = answering
    reply = create(stage, URL)
    assert reply.status == 400
    assert reply.error["param"].startswith("input_reference")
    assert upstream.submits() == []
    assert stage.listed() == []


@pytest.mark.parametrize(
    "url", ["https://[bad", "https://a b/", "https://a:x/", "https://\x7f/", "HTTPS://x", "https://" + "a" * 300]
)
def test_a_url_that_is_none(stage: Stage, upstream: Upstream, url: str) -> None:
    upstream.rules["GET", "*", ""] = lambda request: httpx.Response(404)
    reply = create(stage, url)
    assert (reply.status, reply.error["param"]) == (400, "input_reference.image_url")
    assert upstream.submits() == []


def test_an_image_with_characters(stage: Stage, upstream: Upstream) -> None:
    character = stage.character(model="solo")
    upstream.heard.clear()
    form: list[tuple[str, Any]] = [("prompt", "Luna"), ("model", "solo"), ("characters[][id]", character)]
    form.append(("input_reference", ("i.png", PNG, "image/png")))
    assert stage.call("create_video", form=form).status == 200
    body = upstream.submits()[0].body
    assert body["characters"] == [{"id": "char_solo.example_0"}]
    assert bytes(body["input_reference"].data) == PNG


def test_a_clip_is_sent_with_the_type_of_its_bytes(stage: Stage, upstream: Upstream) -> None:
    webm = b"\x1aE\xdf\xa3\x8b\x42\x82\x84webm" + b"\0" * 100
    for data, mime_type in ((MP4, "video/mp4"), (webm, "video/webm")):
        form: list[tuple[str, Any]] = [("prompt", "x"), ("model", "solo"), ("video", ("v.avi", data, "video/avi"))]
        assert stage.call("edit_video", form=form).status == 200
        video = upstream.submits()[-1].body["video"]
        assert (bytes(video.data), video.content_type) == (data, mime_type)
