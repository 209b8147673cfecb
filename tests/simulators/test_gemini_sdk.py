"""Google's own client (google-genai 3.4.0) against the simulator, from the order to files that play.

One part needs help from the test: the client recognises the address of a file by its https://, and the simulator has no
https.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.simulators.process import Simulator
from local.simulators.shared import footage

# An environment made by hand may lack it; the locked one, where CI runs, must not.
genai: Any = (importlib.import_module if os.environ.get("CI") else pytest.importorskip)("google.genai")

MODEL = "gemini-omni-1.1-flash"


@pytest.fixture(scope="module")
def shared_gemini(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("gemini"), speed=40, module="local.simulators.gemini") as simulator:
        yield simulator


@pytest.fixture
def gemini(shared_gemini: Simulator) -> Iterator[Simulator]:
    before = shared_gemini.settings()
    shared_gemini.reset()
    yield shared_gemini
    shared_gemini.settings(**before)


@pytest.fixture(params=["v1beta", "v1"])
def client(gemini: Simulator, request: pytest.FixtureRequest) -> Any:
    return genai.Client(api_key="sim-a", http_options={"base_url": gemini.url, "api_version": request.param})


def finished(client: Any, interaction: Any) -> Any:
    until = time.monotonic() + 20
    while interaction.status not in ("completed", "failed"):
        assert time.monotonic() < until
        time.sleep(0.03)
        interaction = client.interactions.get(interaction.id)
    assert interaction.status == "completed", interaction.errors
    return interaction


def download(client: Any, interaction: Any, path: Path) -> footage.VideoFacts:
    assert interaction.output_video is not None
    uri = (interaction.output_video.uri or "").replace("http://", "https://")
    client.files.download(file=uri, destination=path)
    return footage.probe(path)


def test_from_text_to_an_extended_video(client: Any, gemini: Simulator, tmp_path: Path) -> None:
    wanted = {"type": "video", "duration": "3s", "resolution": "360p", "aspect_ratio": "9:16", "delivery": "uri"}
    first = client.interactions.create(model=MODEL, input="A paper boat", background=True, response_format=wanted)
    assert first.status == "in_progress"
    done = finished(client, first)
    found = download(client, done, tmp_path / "first.mp4")
    assert (found.width, found.height, round(found.duration)) == (360, 640, 3)
    assert done.usage.output_tokens_by_modality[0].tokens == 3 * 1931

    again = {"type": "video", "duration": "5s", "resolution": "360p", "delivery": "uri"}
    longer = client.interactions.create(
        model=MODEL, input="Extend this video", background=True, previous_interaction_id=first.id, response_format=again
    )
    assert round(download(client, finished(client, longer), tmp_path / "longer.mp4").duration) == 8
    client.interactions.delete(first.id)
    with pytest.raises(
        genai.interactions.BadRequestError if hasattr(genai.interactions, "BadRequestError") else Exception
    ):
        client.interactions.get(first.id)


def test_an_upload_is_processed_before_it_can_be_used(
    client: Any, gemini: Simulator, luna: Path, tmp_path: Path
) -> None:
    gemini.settings(processing_seconds=1e6)  # until the refusal was seen, however slow this machine is
    file = client.files.upload(file=str(luna))
    assert (file.state.name, file.mime_type) == ("PROCESSING", "video/mp4")
    early = [{"type": "document", "uri": file.uri}, {"type": "text", "text": "Continue the scene."}]
    with pytest.raises(Exception, match="not in an ACTIVE state"):
        client.interactions.create(model=MODEL, input=early)
    gemini.settings(processing_seconds=20.0)  # half a second at this speed
    while file.state.name == "PROCESSING":
        time.sleep(0.02)
        file = client.files.get(name=file.name)
    assert file.state.name == "ACTIVE"
    config = {"video_config": {"task": "extend"}}
    longer = client.interactions.create(model=MODEL, input=early, generation_config=config)  # waits for it
    assert (longer.status, longer.output_video.uri) == ("completed", None)
    assert gemini.jobs()[0]["operation"] == "extend"
    assert gemini.jobs()[0]["seconds"] == 12  # 10 more by default
    with pytest.raises(genai.errors.ClientError, match="generated files"):
        client.files.download(file=file.name)
    client.files.delete(name=file.name)
    with pytest.raises(genai.errors.ClientError, match="may not exist"):
        client.files.get(name=file.name)


def test_pieces_of_an_upload(client: Any, gemini: Simulator, luna: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.mp4"  # the client sends 8 MB at a time
    large.write_bytes(luna.read_bytes() + (9 * 1024 * 1024 + 8).to_bytes(4, "big") + b"free" + bytes(9 * 1024 * 1024))
    file = client.files.upload(file=str(large))
    assert file.size_bytes == large.stat().st_size
    assert len([record for record in gemini.requests(operation="upload_file") if record["files"]]) == 2


def test_reference_clips_inside_the_request(client: Any, gemini: Simulator, luna: Path, moss: Path) -> None:
    clips = [{"type": "video", "mime_type": "video/mp4", "data": path} for path in (luna, moss)]
    text = "[# References <VIDEO_REF_0>@Video1 <VIDEO_REF_1>@Video2] <VIDEO_REF_0> meets <VIDEO_REF_1>"
    made = client.interactions.create(
        model=MODEL,
        input=[*clips, {"type": "text", "text": text}],
        background=True,
        generation_config={"video_config": {"task": "reference_to_video"}},
        response_format={"type": "video", "duration": "3s", "resolution": "360p"},
    )
    assert finished(client, made).output_video.data
    assert [name for name, _ in gemini.jobs()[0]["references"]] == ["VIDEO_REF_0", "VIDEO_REF_1"]


def test_a_wrong_key(gemini: Simulator) -> None:
    client = genai.Client(api_key="nonsense", http_options={"base_url": gemini.url})
    with pytest.raises(Exception, match="API key not valid"):
        client.interactions.create(model=MODEL, input="x")
    with pytest.raises(genai.errors.ClientError, match="API key not valid"):
        client.files.get(name="files/abc")
