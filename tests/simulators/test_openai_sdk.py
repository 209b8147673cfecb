"""The official SDK against the simulator, from the order to files that play."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types import Video
from PIL import Image

from local.simulators.process import Simulator
from local.simulators.shared import footage

# The SDK announces the end of the service at each call.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


# The typed object form of `video` fails inside SDK 3.54.0, so the id travels in `extra_body`.
OMIT: Any = openai.omit


def finished(client: OpenAI, video: Video) -> Video:
    done = client.videos.poll(video.id, poll_interval_ms=30)
    assert done.status == "completed", done.error
    return done


def download(client: OpenAI, video: Video, path: Path) -> footage.VideoFacts:
    answer = client.videos.download_content(video.id)
    assert answer.response.headers["content-type"] == "video/mp4"
    path.write_bytes(answer.read())
    facts = footage.probe(path)
    assert (facts.video_codec, facts.audio_codec) == ("h264", "aac")
    assert f"{facts.width}x{facts.height}" == video.size
    assert facts.duration == pytest.approx(float(video.seconds), abs=0.05)
    return facts


def test_from_clip_to_extended_video(
    client: OpenAI, simulator: Simulator, luna: Path, moss: Path, tmp_path: Path
) -> None:
    characters = [
        client.videos.create_character(name=name, video=path) for name, path in (("Luna", luna), ("Moss", moss))
    ]
    fetched = client.videos.get_character(str(characters[0].id))
    assert (fetched.id, fetched.name) == (characters[0].id, "Luna")

    created = client.videos.create(
        prompt="Luna dances with Moss in a magical forest.",
        seconds="4",
        size="1280x720",
        extra_body={"characters": [{"id": each.id} for each in characters]},
    )
    assert (created.status, created.progress, created.model) == ("queued", 0, "sora-2")
    video = finished(client, created)
    assert video.progress == 100 and video.completed_at and video.expires_at == video.completed_at + 3600
    download(client, video, tmp_path / "video.mp4")
    record = simulator.requests(operation="create_video")[0]
    assert record["fields"]["characters[][id]"] == [each.id for each in characters]

    edited = finished(
        client,
        client.videos.edit(prompt="Add warm light", video=OMIT, extra_body={"video": {"id": video.id}}),
    )
    download(client, edited, tmp_path / "edited.mp4")
    assert (edited.seconds, edited.size, edited.remixed_from_video_id) == ("4", "1280x720", None)

    extended = finished(
        client,
        client.videos.extend(
            prompt="She waves goodbye", seconds="8", video=OMIT, extra_body={"video": {"id": video.id}}
        ),
    )
    assert extended.seconds == "12"
    download(client, extended, tmp_path / "extended.mp4")

    remixed = finished(client, client.videos.remix(video.id, prompt="The same in the rain"))
    assert remixed.remixed_from_video_id == video.id
    download(client, remixed, tmp_path / "remixed.mp4")

    # The visible differences: an extension starts like its source and gets darker; edit and remix have their own tint.
    source, warm, cold = (mean(tmp_path / f"{name}.mp4", 1.0) for name in ("video", "edited", "remixed"))
    assert distance(mean(tmp_path / "extended.mp4", 1.0), source) < 6
    assert sum(mean(tmp_path / "extended.mp4", 8.0)) < 0.75 * sum(source)
    assert warm[0] - warm[2] > source[0] - source[2] + 20
    assert cold[2] - cold[1] > source[2] - source[1] + 10


def mean(path: Path, at: float) -> tuple[float, ...]:
    """Return the mean colour of a part of a frame that contains no caption."""
    picture = footage.still(path, at)
    box = (0, picture.height // 6, picture.width, picture.height // 2)
    pixel = picture.crop(box).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel


def distance(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def test_edit_and_extend_a_file(client: OpenAI, luna: Path, tmp_path: Path) -> None:
    edited = client.videos.edit(prompt="Make it snow", video=luna, extra_body={"model": "sora-2"})
    assert (edited.size, edited.seconds) == ("640x360", "2")
    download(client, finished(client, edited), tmp_path / "edited.mp4")
    extended = client.videos.extend(prompt="She walks on", video=luna.read_bytes(), seconds="4")
    assert extended.seconds == "6"
    download(client, finished(client, extended), tmp_path / "extended.mp4")
    assert distance(mean(tmp_path / "extended.mp4", 0.5), mean(luna, 0.5)) < 6


def test_reference_image_is_the_first_frame(client: OpenAI, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (720, 1280), (200, 40, 40)).save(buffer, "PNG")
    video = finished(client, client.videos.create(prompt="A red wall", input_reference=buffer.getvalue()))
    assert (video.size, video.seconds) == ("720x1280", "4")
    download(client, video, tmp_path / "video.mp4")
    assert distance(mean(tmp_path / "video.mp4", 0.0), (200, 40, 40)) < 8


def test_progress_grows(client: OpenAI, simulator: Simulator) -> None:
    simulator.settings(speed=0)
    video = client.videos.create(prompt="A slow river")
    assert client.videos.retrieve(video.id).status == "queued"
    simulator.settings(speed=2)
    seen: list[Video] = []
    while not seen or seen[-1].status in ("queued", "in_progress"):
        seen.append(client.videos.retrieve(video.id))
        time.sleep(0.02)
    progress = [each.progress for each in seen]
    assert progress == sorted(progress) and len(set(progress)) > 3
    order = ["queued", "in_progress", "completed"]
    assert sorted({each.status for each in seen}, key=order.index) == order


def test_list_pages(client: OpenAI) -> None:
    made = [client.videos.create(prompt=f"Number {number}").id for number in range(5)]
    page = client.videos.list(limit=2, order="asc")
    assert [video.id for video in page.data] == made[:2] and page.has_more
    assert [video.id for video in client.videos.list(limit=2, order="asc")] == made
    assert [video.id for video in client.videos.list()] == made[::-1]
    assert [video.id for video in client.videos.list(after=made[1], order="desc").data] == made[:1]
    with OpenAI(base_url=client.base_url, api_key="sim-b") as other:
        assert list(other.videos.list()) == []


def test_delete(client: OpenAI, simulator: Simulator) -> None:
    simulator.settings(speed=0)
    video = client.videos.create(prompt="Here and gone")
    with pytest.raises(openai.BadRequestError):
        client.videos.delete(video.id)
    simulator.settings(speed=100)
    finished(client, video)
    assert client.videos.delete(video.id).deleted is True
    for call in (client.videos.retrieve, client.videos.download_content, client.videos.delete):
        with pytest.raises(openai.NotFoundError):
            call(video.id)
    assert list(client.videos.list()) == []


def test_what_was_made_from_a_deleted_video_stays(client: OpenAI, tmp_path: Path) -> None:
    source = finished(client, client.videos.create(prompt="First"))
    remix = client.videos.remix(source.id, prompt="Second")
    client.videos.delete(source.id)
    download(client, finished(client, remix), tmp_path / "remix.mp4")


def test_variants(client: OpenAI, simulator: Simulator, tmp_path: Path) -> None:
    simulator.settings(speed=0)
    video = client.videos.create(prompt="A lighthouse")
    with pytest.raises(openai.NotFoundError):
        client.videos.download_content(video.id)
    simulator.settings(unfinished_status=400)
    with pytest.raises(openai.BadRequestError):
        client.videos.download_content(video.id)
    simulator.settings(speed=100)
    finished(client, video)
    for variant, kind in (("thumbnail", "webp"), ("spritesheet", "jpeg")):
        answer = client.videos.download_content(video.id, variant=variant)  # type: ignore[arg-type]
        assert answer.response.headers["content-type"] == f"image/{kind}"
        (tmp_path / variant).write_bytes(answer.read())
        assert footage.probe_image(tmp_path / variant).media_type == f"image/{kind}"
    simulator.settings(variants=False)
    with pytest.raises(openai.BadRequestError):
        client.videos.download_content(video.id, variant="thumbnail")
    assert client.videos.download_content(video.id).read()[4:8] == b"ftyp"
    simulator.settings(expires_after=0)
    with pytest.raises(openai.NotFoundError, match="expired"):
        client.videos.download_content(video.id)


@pytest.mark.parametrize(("word", "code"), [("refused-later", "moderation_blocked"), ("fails-later", "internal_error")])
def test_job_that_fails(client: OpenAI, word: str, code: str) -> None:
    video = client.videos.poll(client.videos.create(prompt=f"Something {word}").id, poll_interval_ms=30)
    assert video.status == "failed" and video.error is not None and video.error.code == code
    assert video.completed_at is None
    with pytest.raises(openai.NotFoundError):
        client.videos.download_content(video.id)
    with pytest.raises(openai.BadRequestError):
        client.videos.remix(video.id, prompt="Again")
    assert client.videos.delete(video.id).deleted


def test_moderation_at_create(client: OpenAI, simulator: Simulator, luna: Path) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.videos.create(prompt="A forbidden dance")
    assert (caught.value.code, caught.value.param, caught.value.type) == (
        "moderation_blocked",
        "prompt",
        "invalid_request_error",
    )
    with pytest.raises(openai.BadRequestError):
        client.videos.create_character(name="forbidden fox", video=luna)
    assert simulator.jobs() == []
