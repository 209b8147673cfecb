"""`understudy smoke`: what it costs, what it asks for, and what it says when something fails."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from understudy_cli import aws_options, gateway
from understudy_cli.estimate import Plan, cost
from understudy_cli.main import main
from understudy_cli.transcript import Transcript

KEY = "us-0123456789abcdefghijklmnop"
MP4 = b"\x00\x00\x00\x20ftypisom" + bytes(100)
PRESIGNED = "https://bucket.example/media/blue/1/video.mp4?X-Amz-Signature=secret"


def model(**changes: Any) -> dict[str, Any]:
    able = {
        "seconds": ["12", "4", "8"],
        "sizes": ["720x1280", "1280x720"],
        "default_size": "720x1280",
        "characters": {"most": 2, "seconds": ["8", "12"], "sizes": ["1280x720"]},
        "edit": {"own": "native", "other": "none"},
        "extend": {"own": "emulated", "other": "none"},
        "extend_seconds": ["12", "8", "10"],
        "micro_dollars": [
            price(100_000, "create", "characters", "extend"),
            price(250_000, "edit"),
            price(900_000, "create", sizes=("1280x720",)),
        ],
    }
    return {"id": "sora-2", "object": "model", "capabilities": able | changes}


def price(most: int, *of: str, sizes: tuple[str, ...] = ("720x1280", "1280x720")) -> dict[str, Any]:
    return {"of": list(of), "sizes": list(sizes), "per": "second", "least": most // 2, "most": most}


def estimated(*, character: bool = False, seconds: int | None = None, **changes: Any) -> tuple[Plan, str]:
    entry = model(**changes)
    plan = Plan.of(entry, character=character, seconds=seconds)
    return plan, cost(plan, entry)


def test_the_shortest_video() -> None:
    plan, said = estimated()
    assert plan == Plan("720x1280", 4, character=False, edit=False, added=None)
    assert said == "The price is at most $0.40 for: video."
    assert estimated(seconds=8)[1] == "The price is at most $0.80 for: video."


def test_the_announcement() -> None:
    plan, said = estimated(character=True)
    assert plan == Plan("1280x720", 8, character=True, edit=True, added=8)
    # 8 s with a character at 0.10, an edit of 8 s at 0.25, 8 s added at 0.10
    assert said == "The price is at most $3.60 for: character, video, edit, extension."


def test_what_is_charged_on_top() -> None:
    more = [price(10_000, "source"), price(50_000, "character"), price(20_000, "clips")]
    said = estimated(character=True, micro_dollars=[*model()["capabilities"]["micro_dollars"], *more])[1]
    # 3.60, the source of 8 s twice at 0.01, one character
    assert said == (
        "The price is at most $3.81 for: character, video, edit, extension. "
        "Each second of the character's clip costs $0.02 more."
    )


@pytest.mark.parametrize("prices", [[], [price(100_000, "characters", "extend")]])
def test_a_price_that_is_not_known(prices: list[dict[str, Any]]) -> None:
    said = estimated(character=True, micro_dollars=prices)[1]
    assert said == ("The price is unknown, because model sora-2 has no price for: character, video, edit, extension.")


def test_a_model_that_takes_no_characters() -> None:
    with pytest.raises(ValueError, match="takes no characters"):
        estimated(character=True, characters={"most": 0, "seconds": [], "sizes": []})


class Fake:
    """A gateway and its bucket. `answers` replaces the answer to a method and path, one after another."""

    def __init__(self) -> None:
        self.entry = model()
        self.answers: dict[str, list[httpx.Response | Exception]] = {}
        self.seen: list[httpx.Request] = []
        self.states = ["queued", "completed"]
        self.body = MP4
        self._polls: dict[str, int] = {}

    @property
    def calls(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.seen]

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [json.loads(one.content) for one in self.seen if one.url.path == path and one.method == "POST"]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.seen.append(request)
        replaced = self.answers.get(self.calls[-1])
        if replaced:
            answer = replaced.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        return self._usual(request)

    def _usual(self, request: httpx.Request) -> httpx.Response:
        path, headers = request.url.path, {"x-request-id": f"r-{len(self.seen)}", "openai-poll-after-ms": "7000"}
        if request.url.host == "bucket.example":
            return httpx.Response(200, content=self.body)
        if request.method == "POST":
            kind = "character" if path.endswith("/characters") else "video"
            made = {"id": f"{kind}_{len(self.seen)}", "status": "queued", "progress": 0}
            return httpx.Response(200, json=made, headers=headers)
        if path == "/v1/models":
            return httpx.Response(200, json={"object": "list", "data": [self.entry]}, headers=headers)
        if path.startswith("/v1/videos/characters/"):
            return httpx.Response(200, json={"id": path.rpartition("/")[2], "name": "Luna"}, headers=headers)
        if path.endswith("/content"):
            return httpx.Response(302, headers={**headers, "location": PRESIGNED})
        count = self._polls[path] = self._polls.get(path, -1) + 1
        video = {"status": self.states[count], "progress": 50, "seconds": "4", "size": "720x1280"}
        if video["status"] == "failed":
            video["error"] = {"code": "moderation_blocked", "message": "The prompt was blocked."}
        return httpx.Response(200, json={"id": path.rpartition("/")[2], **video}, headers=headers)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake, real = Fake(), httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **given: real(**given, transport=httpx.MockTransport(fake)))
    return fake


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


Run = Callable[..., Any]


@pytest.fixture
def run(fake: Fake, slept: list[float], tmp_path: Path) -> Run:
    def run(*arguments: str, yes: bool = True, **options: Any) -> Any:
        usual = ["--model", "sora-2", "--base-url", "https://gateway.example/v1", "--output", str(tmp_path / "out")]
        given = ["smoke", *usual, *(["--yes"] if yes else []), *arguments]
        return CliRunner().invoke(main, given, env={"UNDERSTUDY_API_KEY": KEY}, **options)

    return run


def transcript(tmp_path: Path) -> str:
    return (tmp_path / "out" / "transcript.md").read_text("utf-8")


def test_a_video(run: Run, fake: Fake, slept: list[float], tmp_path: Path) -> None:
    ran = run()
    assert ran.exit_code == 0, ran.output
    [price, step, end] = ran.stdout.splitlines()
    assert price == "The price is at most $0.40 for: video."
    assert " s  video      succeeded  4 s, 720x1280, 112 bytes: " in step
    assert end.startswith("All steps succeeded. The transcript is ")
    assert (tmp_path / "out" / "video.mp4").read_bytes() == MP4
    [order] = fake.bodies("/v1/videos")
    assert {name: order[name] for name in ("model", "seconds", "size")} == {
        "model": "sora-2",
        "seconds": "4",
        "size": "720x1280",
    }
    assert slept == [7, 7], "the gateway's own pace"


def test_the_key_goes_to_the_gateway_only(run: Run, fake: Fake, tmp_path: Path) -> None:
    assert run().exit_code == 0
    for request in fake.seen:
        if request.url.host == "bucket.example":
            assert "authorization" not in request.headers
        else:
            assert request.headers["authorization"] == f"Bearer {KEY}"
    assert {request.url.host for request in fake.seen} == {"gateway.example", "bucket.example"}


def test_the_transcript_has_ids_and_no_secret(run: Run, fake: Fake, tmp_path: Path) -> None:
    error = {"error": {"message": f"Bad key {KEY} for {PRESIGNED}", "code": None}}
    fake.answers["POST /v1/videos"] = [httpx.Response(400, json=error, headers={"x-request-id": "r-bad"})]
    ran = run()
    for text in (ran.output, transcript(tmp_path)):
        assert "Bad key [key] for https://bucket.example/media/blue/1/video.mp4?[query]" in text
        assert KEY not in text
        assert "secret" not in text
        assert "r-bad" in text
    assert run().exit_code == 0
    lines = transcript(tmp_path).splitlines()
    assert any("POST /videos | 200 |" in line and "video_" in line and "| r-" in line for line in lines)
    assert KEY not in transcript(tmp_path)
    assert "secret" not in transcript(tmp_path)


def test_a_transcript_is_a_table_whatever_is_in_it(tmp_path: Path) -> None:
    made = Transcript(tmp_path / "deep" / "t.md", KEY)
    made.begin("Title", base_url="https://user:password@gateway.example/v1")
    made.save()
    made.add("video", "POST /videos", "400", 1, "r-1", "one | two\nthree us-anotherkey0123456789")
    text = made.file.read_text("utf-8")
    assert "https://[user]@gateway.example/v1" in text
    assert text.splitlines()[-1].endswith(r"| POST /videos | 400 | 1.00 | r-1 | one \| two three [key] |")


@pytest.mark.parametrize("said", ["n\n", ""])
def test_no_money_is_spent_without_a_yes(run: Run, fake: Fake, tmp_path: Path, said: str) -> None:
    ran = run(yes=False, input=said)
    assert ran.exit_code == 1
    assert "at most $0.40" in ran.output
    assert fake.calls == ["GET /v1/models"]
    assert not (tmp_path / "out").exists()


def test_a_yes(run: Run, fake: Fake) -> None:
    assert run(yes=False, input="y\n").exit_code == 0
    assert "POST /v1/videos" in fake.calls


@pytest.fixture
def clip(tmp_path: Path) -> str:
    file = tmp_path / "luna.mp4"
    file.write_bytes(MP4)
    return str(file)


def test_a_character_and_all_that_is_made_of_it(run: Run, fake: Fake, clip: str, tmp_path: Path) -> None:
    ran = run("--character", clip)
    assert ran.exit_code == 0, ran.output
    steps = [line.split()[2] for line in ran.stdout.splitlines()[1:-1]]
    assert steps == ["character", "video", "edit", "extension"]
    assert [call for call in fake.calls if call.startswith("POST")] == [
        "POST /v1/videos/characters",
        "POST /v1/videos",
        "POST /v1/videos/edits",
        "POST /v1/videos/extensions",
    ]
    [order], [edit], [extension] = (fake.bodies(f"/v1/videos{path}") for path in ("", "/edits", "/extensions"))
    assert order["characters"] == [{"id": "character_2"}]
    assert "Luna" in order["prompt"]
    assert edit["video"] == extension["video"] == {"id": "video_4"}
    assert extension["seconds"] == "8"
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "video.mp4",
        "edit.mp4",
        "extension.mp4",
        "transcript.md",
    }


def test_a_model_that_cannot_edit_or_extend(run: Run, fake: Fake, clip: str) -> None:
    none = {"own": "none", "other": "none"}
    fake.entry = model(edit=none, extend=none)
    ran = run("--character", clip)
    assert ran.exit_code == 0, ran.output
    assert "The price is at most $0.80 for: character, video.\n" in ran.output
    assert "not made   The model cannot edit videos." in ran.output
    assert "not made   The model cannot extend videos." in ran.output


def test_the_deployment_that_made_the_video_cannot_edit(run: Run, fake: Fake, clip: str) -> None:
    """GET /models says what one of the deployments behind the name can."""
    error = {"error": {"message": "This model cannot edit.", "code": "unsupported_operation"}}
    fake.answers["POST /v1/videos/edits"] = [httpx.Response(400, json=error)]
    ran = run("--character", clip)
    assert ran.exit_code == 0, ran.output
    assert "edit       not made   400: This model cannot edit." in ran.output
    assert "extension  succeeded" in ran.output


def test_a_clip_that_is_too_large_for_a_form(run: Run, fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "large.mp4"
    file.write_bytes(bytes(4_000_001))
    ran = run("--character", str(file))
    assert (ran.exit_code, "larger than 4,000,000 bytes" in ran.output, fake.calls) == (2, True, [])


def test_a_video_that_fails(run: Run, fake: Fake, tmp_path: Path) -> None:
    fake.states = ["in_progress", "failed"]
    ran = run()
    assert ran.exit_code == 1
    assert "video      failed" in ran.output
    assert "Error: video: The prompt was blocked. (x-request-id: r-4)\nThe transcript is " in ran.output
    assert "The prompt was blocked." in transcript(tmp_path)


def test_a_step_that_fails_ends_the_run(run: Run, fake: Fake, clip: str) -> None:
    error = {"error": {"message": "Understudy failed.", "code": "internal_error"}}
    fake.answers["POST /v1/videos/edits"] = [httpx.Response(500, json=error, headers={"x-request-id": "r-500"})]
    ran = run("--character", clip)
    assert ran.exit_code == 1
    assert "Error: edit: 500: Understudy failed. (x-request-id: r-500)" in ran.output
    assert "POST /v1/videos/extensions" not in fake.calls


def test_a_lost_poll_does_not_lose_the_video(run: Run, fake: Fake) -> None:
    lost = [httpx.Response(502), httpx.ReadTimeout("slow"), httpx.Response(429), httpx.ConnectError("down")]
    fake.answers["GET /v1/videos/video_2"] = [*lost]
    assert run().exit_code == 0
    fake.seen.clear()
    fake.answers["GET /v1/videos/video_2"] = [*lost, httpx.Response(503, text="busy")]
    ran = run()
    assert (ran.exit_code, "503: busy" in ran.output) == (1, True)


def test_only_polls_lost_in_a_row_count(run: Run, fake: Fake) -> None:
    lost, found = [httpx.Response(502)] * 4, httpx.Response(200, json={"status": "in_progress"})
    fake.answers["GET /v1/videos/video_2"] = [*lost, found, *lost]
    assert run().exit_code == 0


def test_a_video_that_is_gone_is_not_polled_again(run: Run, fake: Fake) -> None:
    error = {"error": {"message": "Gone.", "code": "video_not_found"}}
    fake.answers["GET /v1/videos/video_2"] = [httpx.Response(404, json=error)]
    assert run().exit_code == 1
    assert fake.calls.count("GET /v1/videos/video_2") == 1


def test_a_video_that_does_not_end(run: Run, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.states = ["in_progress"] * 100
    now = iter(range(0, 100_000, 100))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(now)))
    ran = run()
    assert ran.exit_code == 1
    assert "The video is still in_progress after 30 minutes. GET /v1/videos/video_2 says when it is done." in ran.output


def test_an_order_without_an_answer(run: Run, fake: Fake) -> None:
    fake.answers["POST /v1/videos"] = [httpx.ReadTimeout("")]
    ran = run()
    assert ran.exit_code == 1
    assert "got no answer from https://gateway.example/v1/: ReadTimeout." in ran.output
    assert "Look at GET /v1/videos before you repeat it." in ran.output
    assert fake.calls.count("POST /v1/videos") == 1


def test_a_file_that_is_no_video(run: Run, fake: Fake) -> None:
    fake.body = b"<html></html>"
    ran = run()
    assert (ran.exit_code, "is not an MP4" in ran.output) == (1, True)


@pytest.mark.parametrize("answer", [httpx.Response(403, text="<Error/>"), httpx.ReadError("cut")])
def test_a_bucket_that_does_not_give_the_file(run: Run, fake: Fake, answer: Any) -> None:
    fake.answers["GET /media/blue/1/video.mp4"] = [answer]
    ran = run()
    assert ran.exit_code == 1
    assert ("The bucket answered 403" in ran.output) or ("The download failed: cut." in ran.output)


def test_a_model_that_the_key_cannot_use(run: Run, fake: Fake) -> None:
    fake.entry["id"] = "wan"
    ran = run()
    assert ran.exit_code == 1
    assert "The key cannot use a model 'sora-2'. It can use: wan." in ran.output


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(200, text="<html>"), "did not answer with a JSON object. Check the base URL."),
        (httpx.Response(200, json={"data": [{"id": "sora-2"}]}), "this gateway is not Understudy"),
        (httpx.Response(401, json={"error": {"message": "Incorrect API key provided."}}), "401: Incorrect API key"),
    ],
)
def test_a_server_that_is_no_gateway(run: Run, fake: Fake, answer: httpx.Response, message: str) -> None:
    fake.answers["GET /v1/models"] = [answer]
    ran = run()
    assert (ran.exit_code, message in ran.output) == (1, True)


def test_a_key_is_needed(fake: Fake) -> None:
    ran = CliRunner().invoke(main, ["smoke", "--model", "sora-2"], env={"UNDERSTUDY_API_KEY": ""})
    assert (ran.exit_code, "UNDERSTUDY_API_KEY" in ran.output) == (2, True)


def test_the_base_url_is_the_stacks(fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = {"ApiUrl": "https://studio.example/v1"}
    monkeypatch.setattr(aws_options, "outputs", lambda stack, *needed: url if stack == "studio" else {})
    fake.entry["id"] = "another"
    CliRunner().invoke(
        main, ["smoke", "--model", "sora-2", "--stack", "studio", "--key", KEY, "--output", str(tmp_path)]
    )
    assert str(fake.seen[0].url) == "https://studio.example/v1/models"


def test_a_pace_of_zero_does_not_spin(fake: Fake, slept: list[float], tmp_path: Path) -> None:
    fake.answers["GET /v1/models"] = [httpx.Response(200, json={}, headers={"openai-poll-after-ms": "0"})]
    calls = gateway.Gateway("https://gateway.example/v1", KEY, Transcript(tmp_path / "t.md", KEY))
    calls.call("GET", "/models")
    calls.finished({"id": "video_1"}, lambda text: None)
    assert slept == [gateway.LEAST_PACE_SECONDS, 7]
