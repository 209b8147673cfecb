"""Outputs and inputs: the files play and show what was ordered; pictures and clips can be sent with a prompt."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from local.simulators.process import Simulator
from tests.integration.live import Api, Film, Heard, answered, difference, refused

WIDE = {"model": "sora-2", "size": "1280x720", "seconds": "4"}


@pytest.fixture(scope="module")
def film(api: Api, movie: str) -> Film:
    """The content of the finished video."""
    return Film.of(api.download(movie).content)


class TestDownload:
    def test_it_decodes_with_the_promised_size_and_length(self, film: Film) -> None:
        assert (film.width, film.height) == (1280, 720)
        assert film.seconds == pytest.approx(4, abs=0.2)
        assert len(film.frames) > 20

    def test_the_redirect_needs_no_credential_and_gives_none_away(self, api: Api, movie: str) -> None:
        answer = api.get(f"/videos/{movie}/content")
        assert answer.status_code == 302
        assert api.key not in answer.headers["location"]
        assert not answer.headers["location"].startswith(api.base_url)  # another origin: clients leave their key behind
        target = httpx.get(answer.headers["location"])
        assert (target.status_code, target.headers["content-type"]) == (200, "video/mp4")
        assert httpx.get(answer.headers["location"] + "0").status_code == 403  # its signature is checked

    def test_a_client_that_follows_gets_the_bytes(self, api: Api, movie: str) -> None:
        assert api.get(f"/videos/{movie}/content", follow_redirects=True).content == api.download(movie).content

    @pytest.mark.parametrize("span", [(0, 99), (1000, 1999), (50_000, None)])
    def test_range(self, api: Api, movie: str, span: tuple[int, int | None]) -> None:
        whole, (first, last) = api.download(movie).content, span
        part = api.download(movie, Range=f"bytes={first}-{'' if last is None else last}")
        assert part.status_code == 206
        assert part.content == whole[first : None if last is None else last + 1]
        end = len(whole) - 1 if last is None else last
        assert part.headers["content-range"] == f"bytes {first}-{end}/{len(whole)}"

    @pytest.mark.parametrize(
        ("variant", "kind", "media_type"), [("thumbnail", "WEBP", "image/webp"), ("spritesheet", "JPEG", "image/jpeg")]
    )
    def test_pictures(self, api: Api, movie: str, variant: str, kind: str, media_type: str) -> None:
        answer = api.download(movie, variant)
        assert answer.headers["content-type"] == media_type
        with Image.open(io.BytesIO(answer.content)) as picture:
            assert picture.format == kind
            assert picture.width >= 200
            assert len(picture.convert("RGB").resize((16, 16)).getcolors() or []) > 8  # not one colour

    def test_the_thumbnail_is_of_this_video(self, api: Api, movie: str, film: Film) -> None:
        with Image.open(io.BytesIO(api.download(movie, "thumbnail").content)) as picture:
            small = picture.convert("RGB").resize((160, 90))
        assert min(difference(small, frame.resize((160, 90))) for frame in film.frames[::4]) < 6

    def test_an_unknown_variant(self, api: Api, movie: str) -> None:
        refused(api.get(f"/videos/{movie}/content", params={"variant": "gif"}), 400, "invalid_value", "variant")


class TestRemakes:
    """Edits and extensions of a video and of a file that came with the request."""

    def test_an_extension_holds_both_parts(self, api: Api, movie: str, film: Film) -> None:
        body = {"prompt": "Luna waves goodbye", "seconds": "5", "video": {"id": movie}}
        extended = api.wait(api.make("/videos/extensions", **body)["id"])
        assert extended["seconds"] == "9"
        longer = Film.of(api.download(extended["id"]).content)
        assert longer.seconds == pytest.approx(9, abs=0.2)
        assert (longer.width, longer.height) == (1280, 720)
        assert difference(longer.frames[10], film.frames[10]) < 4  # the first part is the source
        assert difference(longer.frames[-5], film.frames[-5]) > 10  # the second is not

    def test_an_edit_keeps_size_and_length_and_changes_the_picture(self, api: Api, movie: str, film: Film) -> None:
        edited = api.wait(api.make("/videos/edits", prompt="golden light", video={"id": movie})["id"])
        assert (edited["size"], edited["seconds"]) == ("1280x720", "4")
        other = Film.of(api.download(edited["id"]).content)
        assert (other.width, other.height, round(other.seconds)) == (1280, 720, 4)
        assert difference(other.frames[20], film.frames[20]) > 10

    def test_of_an_uploaded_file(self, api: Api, upstream: Simulator, moss_clip: Path) -> None:
        since = max(one["number"] for one in upstream.requests())
        files = {"video": ("moss.mp4", moss_clip.read_bytes(), "application/octet-stream")}
        form = {"prompt": "Moss at night", "model": "sora-2"}
        edited = answered(api.post("/videos/edits", data=form, files=files))["id"]
        extended = answered(api.post("/videos/extensions", data={**form, "seconds": "4"}, files=files))["id"]
        assert (api.wait(edited)["seconds"], api.wait(extended)["seconds"]) == ("3", "7")
        film = Film.of(api.download(extended).content)
        assert (film.width, film.height, round(film.seconds)) == (720, 1280, 7)
        sent = [one["files"] for one in upstream.requests(since=since, method="POST")]
        assert [[file["bytes"] for file in files] for files in sent] == [[moss_clip.stat().st_size]] * 2

    def test_a_file_that_is_no_video(self, api: Api) -> None:
        files = {"video": ("x.mp4", b"no video at all", "video/mp4")}
        refused(api.post("/videos/edits", data={"prompt": "x"}, files=files), 400, "not_a_video", "video")

    def test_a_character_from_a_finished_video(self, api: Api, movie: str) -> None:
        made = api.make("/videos/characters", name="Luna the second", video={"id": movie})
        assert answered(api.get(f"/videos/characters/{made['id']}"))["name"] == "Luna the second"
        body = {**WIDE, "prompt": "Luna the second sings", "characters": [{"id": made["id"]}]}
        assert api.video(**body)["status"] == "queued"


def picture(size: tuple[int, int], kind: str) -> bytes:
    """Return a green picture of this size, encoded in this format."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (20, 140, 60)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def private_server() -> Iterator[HTTPServer]:
    """A server on this machine that has a picture; `requests` counts the requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.requests += 1  # type: ignore[attr-defined]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(picture((1280, 720), "PNG"))

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.requests = 0  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class TestInputReference:
    def test_as_a_file_as_a_data_url_and_in_brackets(self, api: Api, upstream: Simulator) -> None:
        since = max(one["number"] for one in upstream.requests())
        data = {kind: picture((1280, 720), kind) for kind in ("PNG", "JPEG", "WEBP")}
        url = {kind: f"data:image/{kind.lower()};base64,{base64.b64encode(data[kind]).decode()}" for kind in data}
        form = {**WIDE, "model": "unhurried", "prompt": "a meadow"}
        answered(api.post("/videos", data=form, files={"input_reference": ("upload", data["PNG"])}))
        api.video(**form, input_reference={"image_url": url["JPEG"]})
        bracketed = {**form, "input_reference[image_url]": url["WEBP"]}
        answered(api.post("/videos", files=[(name, (None, value)) for name, value in bracketed.items()]))
        api.video(**form, input_reference=url["PNG"])
        sent = [one["files"] for one in upstream.requests(since=since, operation="create_video", account="unhurried")]
        expected = [len(data[kind]) for kind in ("PNG", "JPEG", "WEBP", "PNG")]
        assert [[(file["name"], file["bytes"]) for file in files] for files in sent] == [
            [("input_reference", size)] for size in expected
        ]

    def test_it_is_the_first_frame(self, api: Api) -> None:
        data = picture((1280, 720), "PNG")
        files = {"input_reference": ("meadow.png", data, "image/png")}
        made = answered(api.post("/videos", data={**WIDE, "prompt": "a meadow"}, files=files))
        api.wait(made["id"])
        film = Film.of(api.download(made["id"]).content)
        assert difference(film.frames[0], Image.open(io.BytesIO(data))) < 4

    @pytest.mark.parametrize(
        ("reference", "param"),
        [
            ({"image_url": "http://example.com/a.png"}, "input_reference.image_url"),
            ({"image_url": "file:///etc/passwd"}, "input_reference.image_url"),
            ({"image_url": "data:image/png;base64,???"}, "input_reference.image_url"),
            ({"image_url": "data:image/png;base64," + base64.b64encode(b"no picture").decode()}, "input_reference"),
            ({"image_url": "https://a.invalid/a.png"}, "input_reference.image_url"),
            ({"image_url": "x", "file_id": "y"}, "input_reference"),
            ({}, "input_reference"),
        ],
        ids=["http", "file", "no base64", "no picture", "nowhere", "two ways", "no way"],
    )
    def test_what_cannot_be_used_is_said(self, api: Api, reference: Any, param: str) -> None:
        error = refused(
            api.post("/videos", {**WIDE, "prompt": "x", "input_reference": reference}), 400, "invalid_value", param
        )
        assert error["message"]

    def test_a_file_id_is_not_known_here(self, api: Api) -> None:
        answer = api.post("/videos", {**WIDE, "prompt": "x", "input_reference": {"file_id": "file-1"}})
        refused(answer, 400, "unsupported_parameter", "input_reference.file_id")

    def test_a_server_in_here_is_not_asked_over_http(self, api: Api, private_server: HTTPServer) -> None:
        url = f"http://127.0.0.1:{private_server.server_port}/a.png"
        answer = api.post("/videos", {**WIDE, "prompt": "x", "input_reference": {"image_url": url}})
        refused(answer, 400, "invalid_value", "input_reference.image_url")
        assert private_server.requests == 0  # type: ignore[attr-defined]

    def test_a_picture_of_another_size_is_the_providers_to_refuse(self, api: Api, upstream: Simulator) -> None:
        heard = Heard(upstream, "solo")
        files = {"input_reference": ("a.png", picture((64, 64), "PNG"))}
        form = {**WIDE, "model": "solo", "prompt": "x"}
        answer = api.post("/videos", data=form, files=files)
        refused(answer, 400, "invalid_image_size", "input_reference")
        assert heard.count("create_video") == 1
