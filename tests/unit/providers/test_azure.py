from __future__ import annotations

from tests.fakes.account import KEY, Server
from understudy.providers.azure import Azure
from understudy.providers.base import Order

AZURE = Azure()
ORDER = Order("create", "my-sora-deployment", "A fox", "r", seconds=4, size="1280x720")


def test_the_key_goes_out_as_azure_wants_it(server: Server) -> None:
    server.answer(200, {"id": "video_1", "status": "queued"})
    AZURE.submit(server.account(base_url="https://res.openai.azure.com/openai/v1"), ORDER)
    assert server.request.headers["api-key"] == KEY
    assert "authorization" not in server.request.headers
    assert str(server.request.url) == "https://res.openai.azure.com/openai/v1/videos"
    assert server.body["model"] == "my-sora-deployment"


def test_an_entra_token_goes_out_as_bearer(server: Server) -> None:
    server.answer(200, {"id": "video_1", "status": "queued"})
    AZURE.submit(server.account(entra=True), ORDER)
    assert server.request.headers["authorization"] == f"Bearer {KEY}"
    assert "api-key" not in server.request.headers


def test_no_key_no_header(server: Server) -> None:
    server.answer(200, {"id": "video_1", "status": "queued"})
    AZURE.submit(server.account(key=None), ORDER)
    assert "api-key" not in server.request.headers


def test_it_extends_nothing() -> None:
    profile = AZURE.profile("sora-2", {})
    assert profile.extend_seconds == ()
    assert not profile.extend_upload
    assert profile.seconds == (4, 8, 12)
    assert profile.edit
    assert profile.remix
    assert profile.characters.native


def test_options_count_here_too() -> None:
    profile = AZURE.profile("sora-2", {"seconds": [4], "extend_seconds": [4]})
    assert profile.seconds == (4,)
    assert profile.extend_seconds == (4,)
