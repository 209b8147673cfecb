"""Pages of a list: their size in bytes, as Lambda counts them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller

from tests.fakes.stage import Context, Stage, load
from understudy.api import responses
from understudy.jobs.job import Job
from understudy.store import table

LIMIT = 6_291_556  # bytes of a response (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)
PROMPT = 32_000  # characters


def store(team: str, count: int, prompt: str) -> list[str]:
    """Store videos with this prompt, and return their records from the newest to the oldest."""
    facts = {"model": "solo", "deployment": "solo", "provider": "openai", "created_at": 1_800_000_000}
    jobs = [Job(team, f"{n:028x}", "create", "completed", prompt=prompt, **facts) for n in range(count)]  # type: ignore[arg-type]
    for job in jobs:
        table.write_together(job.new_row())
    return [job.id for job in reversed(jobs)]


def page(stage: Stage, monkeypatch: pytest.MonkeyPatch, **query: str) -> tuple[int, Any]:
    """Return the largest number of bytes that a runtime sends for a page, and the page."""
    event = {
        "resource": "/videos",
        "httpMethod": "GET",
        "queryStringParameters": query,
        "requestContext": {"authorizer": stage.caller.context()},
    }
    answer = load("list_videos").handler(event, Context())
    assert answer["statusCode"] == 200
    sizes = []
    for python in ("3.11", "3.13"):  # the first escapes what is not ASCII
        monkeypatch.setenv("AWS_EXECUTION_ENV", f"AWS_Lambda_python{python}")
        sent, _ = LambdaMarshaller().marshal_response(answer)
        sizes.append(len(sent.encode()))
    return max(sizes), json.loads(answer["body"])


@pytest.mark.parametrize(("character", "order"), [("狐", "desc"), ("狐", "asc"), ('"', "desc"), ("😀", "desc")])
def test_the_longest_prompts_come_in_several_pages(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, character: str, order: str
) -> None:
    records = store("blue", 100, character * PROMPT)
    found: list[str] = []
    after: dict[str, str] = {}
    for _ in range(100):
        size, answer = page(stage, monkeypatch, limit="100", order=order, **after)
        assert size < LIMIT
        assert answer["data"]
        found += [Job.find("blue", _record(stage, one["id"])).id for one in answer["data"]]  # type: ignore[union-attr]
        assert answer["last_id"] == answer["data"][-1]["id"]
        after = {"after": answer["last_id"]}
        if not answer["has_more"]:
            break
    assert found == (records if order == "desc" else records[::-1])


def _record(stage: Stage, public_id: str) -> str:
    from understudy.ids import Kind
    from understudy.store.secrets import id_codec

    return id_codec().decode(public_id, Kind.VIDEO, team=stage.caller.team).record


def test_ordinary_pages_are_as_long_as_asked(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    store("blue", 101, "A fox runs. " * 80)
    _, answer = page(stage, monkeypatch, limit="100")
    assert (len(answer["data"]), answer["has_more"]) == (100, True)


@pytest.mark.parametrize(("sizes", "kept"), [([9, 9], 1), ([3, 3, 9], 2), ([9], 1), ([], 0), ([1, 1], 2)])
def test_a_page_has_at_least_one_item(monkeypatch: pytest.MonkeyPatch, sizes: list[int], kept: int) -> None:
    items = [{"id": "x" * size} for size in sizes]
    monkeypatch.setattr(responses, "PAGE_BYTES", 40)  # each item has 16 bytes besides
    answer = responses.page(items, has_more=False)
    assert (len(answer["data"]), answer["has_more"]) == (kept, kept < len(sizes))
