"""OpenAI-shaped servers that support less: vLLM, self-hosted and without a key, and Azure."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.live import Api, Film, Stack, answered, difference, refused

WAN, AZURE = "wan-2.2", "azure-sora"


@pytest.fixture(scope="module")
def video(api: Api) -> dict[str, Any]:
    """A finished video of vLLM, 3 seconds long: a length that OpenAI does not support."""
    return api.finished(model=WAN, prompt="a heron", seconds="3", size="832x480")


class TestVllm:
    def test_a_video_is_made_without_a_key(self, api: Api, stack: Stack, video: dict[str, Any]) -> None:
        assert (video["model"], video["seconds"], video["size"]) == (WAN, "3", "832x480")
        film = Film.of(api.download(video["id"]).content)
        assert (film.width, film.height, round(film.seconds)) == (832, 480, 3)
        (made,) = stack.simulator("vllm").requests(operation="create_video")[-1:]
        assert made["body"] == "multipart"
        assert made["key"] is None

    def test_its_variants_are_made_here(self, api: Api, video: dict[str, Any]) -> None:
        assert api.download(video["id"], "thumbnail").content[8:12] == b"WEBP"
        assert api.download(video["id"], "spritesheet").content[:2] == b"\xff\xd8"

    def test_what_it_cannot_do_names_the_models_that_can(
        self, api: Api, stack: Stack, luna: str, video: dict[str, Any]
    ) -> None:
        server = stack.simulator("vllm")
        before = len(server.requests(method="POST"))
        source = {"prompt": "x", "video": {"id": video["id"]}}
        for answer, param in (
            (api.post("/videos", {"model": WAN, "prompt": "Luna", "characters": [{"id": luna}]}), "characters"),
            (api.post("/videos/edits", source), "model"),
        ):
            message = refused(answer, 400, "unsupported_operation", param)["message"]
            _, _, models = message.partition("Models that can: ")
            assert "sora-2" in models
            assert WAN not in models
        assert (
            "Models that can: "
            in refused(api.post("/videos/edits", source), 400, "unsupported_operation", "model")["message"]
        )
        # Only the deployment that made the video can remix it.
        refused(api.post(f"/videos/{video['id']}/remix", {"prompt": "x"}), 400, "unsupported_operation", "model")
        assert len(server.requests(method="POST")) == before

    def test_its_videos_are_extended_here(self, api: Api, stack: Stack, video: dict[str, Any]) -> None:
        """Since vLLM has no extensions, a new video from the last frame is joined to the source."""
        server = stack.simulator("vllm")
        before = len(server.requests(operation="create_video"))
        body = {"prompt": "it flies off", "seconds": "2", "video": {"id": video["id"]}}
        answer = api.post("/videos/extensions", body)
        assert answered(answer)["status"] == "queued"
        whole = api.wait(answer.json()["id"])
        assert (whole["seconds"], whole["size"]) == ("5", "832x480")
        content = api.get(f"/videos/{whole['id']}/content")
        assert {answer.headers["x-understudy-emulated"], content.headers["x-understudy-emulated"]} == {"extend"}
        (order,) = server.requests(operation="create_video")[before:]
        assert (order["fields"]["seconds"], order["fields"]["size"]) == ("2", "832x480")
        film, first = Film.of(api.download(whole["id"]).content), Film.of(api.download(video["id"]).content)
        assert (film.width, film.height, round(film.seconds)) == (832, 480, 5)
        assert difference(film.frames[0], first.frames[0]) < 8
        assert difference(film.frames[len(first.frames)], first.frames[-1]) < 8
        assert difference(film.frames[-1], first.frames[-1]) > 8

    def test_another_model_takes_its_video_over(self, api: Api, video: dict[str, Any]) -> None:
        """A model that takes clips can edit a video of vLLM if the request names that model."""
        body = {"model": "sora-2", "prompt": "golden light", "video": {"id": video["id"]}}
        edited = api.wait(api.make("/videos/edits", **body)["id"])
        assert (edited["model"], edited["seconds"]) == ("sora-2", "3")

    def test_a_job_that_fails_with_a_4xx_as_its_status_answer_has_failed(self, api: Api) -> None:
        video = api.wait(api.video(model=WAN, prompt="something refused-later")["id"], "failed")
        assert video["error"]["message"]


class TestAzure:
    def test_a_video_with_a_character(self, api: Api, stack: Stack, luna: str) -> None:
        body = {"model": AZURE, "prompt": "Luna in the cloud", "characters": [{"id": luna}]}
        assert api.finished(**body)["status"] == "completed"
        made = stack.simulator("azure").requests(operation="create_video")[-1]
        assert made["account"] == "azure"
        assert made["path"].startswith("/openai/v1/")

    def test_its_videos_are_extended_here(self, api: Api) -> None:
        video = api.finished(model=AZURE, prompt="a heron")
        body = {"prompt": "x", "video": {"id": video["id"]}, "seconds": "4"}
        whole = api.wait(api.make("/videos/extensions", **body)["id"])
        assert whole["seconds"] == "8"
        edit = api.make("/videos/edits", prompt="dusk", video={"id": whole["id"]})
        assert api.wait(edit["id"])["seconds"] == "8"  # the whole, of which its server knows the second half
        remix = api.post(f"/videos/{whole['id']}/remix", {"prompt": "x"})
        refused(remix, 400, "unsupported_operation", "model")


def test_a_model_list_says_who_takes_characters(api: Api) -> None:
    models = {model["id"]: model["capabilities"] for model in answered(api.get("/models"))["data"]}
    assert set(models) >= {"sora-2", "wan-2.2", "azure-sora"}
    assert [(models[name]["characters"]["most"], models[name]["characters"]["forms"]) for name in ("sora-2", WAN)] == [
        (2, ["native"]),
        (0, []),
    ]
