"""A video of each provider, edited and extended by every provider.

The operation is native, emulated or refused, as the model list says.
"""

from __future__ import annotations

import secrets
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests import rings
from tests.integration.live import Film, answered, difference, refused, together

if TYPE_CHECKING:
    import httpx
    from PIL import Image

    from tests.integration.live import Api, Json

SOURCES = ("sora-2", "grok", "omni", "runway", "kling", "hailuo")
TARGETS = (*SOURCES, "wan-2.2")
SIZE, SECONDS, ADDED = "1280x720", 4, 4
SHAPE = 0.03  # by which sizes of one shape may differ: not every model makes the very size that is asked for
# The extensions and edits that are not native, by operation and model.
NOT_NATIVE = {("extend", "kling"): "emulated", ("extend", "hailuo"): "emulated"}
TOO_LARGE = {("extend", "hailuo", "wan-2.2")}  # the model makes nothing as large as this source
# Mean differences of two pictures, 0 to 255: a second encoding causes 1 to 4, a change by a simulator 12 or more.
ALIKE, OTHER = 6, 10


class Pair(NamedTuple):
    operation: str
    source: str
    target: str


PAIRS = [Pair(*found) for found in product(("edit", "extend"), SOURCES, TARGETS)]
# Each model does each operation with another model's video; one of the sources is too large.
RING = {
    *(Pair("edit", SOURCES[place - 1], target) for place, target in enumerate(TARGETS)),
    *(Pair("extend", SOURCES[place - 2], target) for place, target in enumerate(SOURCES)),
    Pair("extend", "hailuo", "wan-2.2"),
}


@pytest.fixture(scope="module")
def says(api: Api) -> dict[Pair, str]:
    """The model list's word for each pair: native, emulated or none."""
    can = {model["id"]: model["capabilities"] for model in answered(api.get("/models"))["data"]}
    whose = {True: "own", False: "other"}
    return {pair: can[pair.target][pair.operation][whose[pair.source == pair.target]] for pair in PAIRS}


@pytest.fixture(scope="module")
def sources(api: Api) -> dict[str, tuple[str, Film]]:
    """A finished video of each model: its id and its film."""
    run = secrets.token_hex(2)  # a stack that is used again has drawn the films of earlier runs

    def ask(model: str) -> str:
        return str(api.video(model=model, prompt=f"A {model} {run}", seconds=str(SECONDS), size=SIZE)["id"])

    ids = together(ask, SOURCES)
    api.wait_all(ids)
    return {model: (video, Film.of(api.download(video).content)) for model, video in zip(SOURCES, ids, strict=True)}


@pytest.fixture(scope="module")
def answers(
    request: pytest.FixtureRequest, api: Api, sources: dict[str, tuple[str, Film]]
) -> dict[Pair, httpx.Response]:
    """The answers to this run's requests, which are sent together so that the videos are made in parallel."""
    pairs = rings.wanted(request, "pair")

    def ask(pair: Pair) -> httpx.Response:
        video, _ = sources[pair.source]
        body: Json = {"prompt": f"{pair.target} goes on", "model": pair.target, "video": {"id": video}}
        if pair.operation == "edit":
            return api.post("/videos/edits", body)
        return api.post("/videos/extensions", {**body, "seconds": str(ADDED)})

    return dict(zip(pairs, together(ask, pairs), strict=True))


@pytest.mark.parametrize("pair", rings.inner(PAIRS, RING), ids=" ".join)
def test_a_pair(api: Api, pair: Pair, says: Any, sources: Any, answers: Any) -> None:
    answer, (_, source) = answers[pair], sources[pair.source]
    if says[pair] == "none":
        error = refused(answer, 400, "unsupported_operation", "model")
        _, _, named = error["message"].partition("Models that can: ")
        possible = {one.target for one in PAIRS if one[:2] == pair[:2] and says[one] != "none"}
        assert possible <= set(named.removesuffix(".").split(", "))
        return
    if pair in TOO_LARGE:
        refused(answer, 400, "unsupported_operation", "video")
        return
    video = answered(answer)["id"]
    assert answer.headers.get("x-understudy-emulated") == ("extend" if says[pair] == "emulated" else None)
    shown = api.wait(video)
    film = Film.of(api.download(video).content)
    length = SECONDS + (ADDED if pair.operation == "extend" else 0)
    assert (shown["seconds"], round(film.seconds)) == (str(length), length)
    assert shown["size"] == f"{film.width}x{film.height}"
    assert film.width / film.height == pytest.approx(source.width / source.height, rel=SHAPE)

    def differ(place: int, of_source: int) -> float:
        frame: Image.Image = film.frames[place].resize((source.width, source.height))
        return difference(frame, source.frames[of_source])

    rate = len(source.frames) / source.seconds
    if pair.operation == "edit":
        assert min(differ(0, 0), differ(-1, -1)) > OTHER
        return
    for moment in (0.0, SECONDS / 2, SECONDS - 2 / rate):
        assert differ(round(moment * rate), round(moment * rate)) < ALIKE
    assert differ(-1, -1) > OTHER


def test_there_are_all_three_kinds(says: dict[Pair, str]) -> None:
    assert set(says.values()) == {"native", "emulated", "none"}
    live = {pair for pair in PAIRS if "wan-2.2" not in pair}
    assert all(says[pair] == NOT_NATIVE.get((pair.operation, pair.target), "native") for pair in live)


def test_most_make_the_very_size_that_is_asked_for(sources: dict[str, tuple[str, Film]]) -> None:
    sizes = [f"{film.width}x{film.height}" for _, film in sources.values()]
    assert sizes.count(SIZE) >= 5
