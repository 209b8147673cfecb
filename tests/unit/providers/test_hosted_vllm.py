from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes.account import Server, media
from understudy.errors import Reason, Refused
from understudy.providers.base import CastMember, Order
from understudy.providers.hosted_vllm import HostedVllm

VLLM = HostedVllm()


def submit(server: Server, **changes: Any) -> None:
    server.answer(200, {"id": "video_gen_1", "status": "queued", "seconds": "4"})
    VLLM.submit(server.account(key=None), Order("create", "wan-2.2", "A fox", "r", **changes))


def test_it_takes_forms_only(server: Server) -> None:
    submit(server, seconds=4, size="832x480")
    assert server.request.headers["content-type"].startswith("multipart/form-data")
    assert server.body == {"model": "wan-2.2", "prompt": "A fox", "seconds": "4", "size": "832x480"}


def test_a_first_frame(server: Server) -> None:
    submit(server, image=media("image.png", "image/png", b"png"))
    assert bytes(server.body["input_reference"].data) == b"png"


def test_characters_as_stills(server: Server) -> None:
    stills = (media("best.jpg", "image/jpeg"), media("other.jpg", "image/jpeg"))
    submit(server, cast=(CastMember("Luna", stills=stills), CastMember("Max", stills=stills[1:])))
    assert json.loads(server.body["image_reference"]) == [
        {"image_url": "https://s3/best.jpg"},
        {"image_url": "https://s3/other.jpg"},
    ]
    assert server.body["prompt"] == "Featuring Luna and Max. A fox"
    assert "characters" not in server.body


def test_characters_as_clips(server: Server) -> None:
    submit(server, cast=(CastMember("Luna", clip=media()),))
    assert json.loads(server.body["video_reference"]) == [{"video_url": "https://s3/clip.mp4"}]
    assert "characters" not in server.body


@pytest.mark.parametrize(
    ("references", "images", "videos", "most"), [(None, 0, 0, 0), ("image", 4, 0, 4), ("video", 0, 4, 4)]
)
def test_an_option_says_how_characters_travel(references: str | None, images: int, videos: int, most: int) -> None:
    support = VLLM.profile("wan-2.2", {"references": references}).characters
    assert (support.reference_images, support.reference_videos, support.most) == (images, videos, most)
    assert support.native == 0


def test_options_of_openai_shaped_servers_count_but_not_native_characters() -> None:
    profile = VLLM.profile("x", {"seconds": [5], "sizes": ["640x360"], "characters": 2})
    assert (profile.default_seconds, profile.default_size) == (5, "640x360")
    assert profile.characters.native == 0


def test_it_remakes_nothing() -> None:
    profile = VLLM.profile("wan-2.2", {})
    assert not any((profile.edit, profile.edit_upload, profile.remix, profile.extend_seconds, profile.extend_upload))


@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_failed_job_comes_with_an_error_status(server: Server, status: int) -> None:
    server.answer(status, {"id": "video_gen_1", "status": "failed", "error": {"code": 500, "message": "out of memory"}})
    progress = VLLM.poll(server.account(), "video_gen_1")
    assert (progress.status, progress.error) == ("failed", ("500", "out of memory"))


def test_deleting_a_job_that_runs_is_refused_there(server: Server) -> None:
    server.answer(409, {"detail": "running"})
    with pytest.raises(Refused) as caught:
        VLLM.delete(server.account(), "video_gen_1")
    assert caught.value.reason is Reason.INVALID
