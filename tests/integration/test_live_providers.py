"""A character that was made once can be used at every provider: every ordered pair, on the deployed stack."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from local.simulators.shared import footage
from local.simulators.shared.body import _shortened as shortened
from local.simulators.shared.render import sample_clip
from local.stack.lifecycle import TEAM
from tests import rings
from tests.integration.live import Film, together
from understudy.ids import IdCodec, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.live import Api, Json, Stack

# Model -> the simulator that serves it.
MODELS = {
    "sora-2": "openai",
    "grok": "xai",
    "omni": "gemini",
    "runway": "runwayml",
    "kling": "kling",
    "hailuo": "minimax",
}
PROMPT = "{} waits for the tram of {}"
SIZE = "1280x720"
SIZES = {"hailuo": "1344x768"}  # what a model makes of that, if it is another one


class Pair(NamedTuple):
    source: str
    target: str
    count: int  # of characters


PAIRS = [Pair(*models, count) for count in (1, 2) for models in permutations(MODELS, 2)]
# Each provider gets one and two characters, each time from another provider, and makes characters for other providers.
RING = {Pair(list(MODELS)[place - count], target, count) for count in (1, 2) for place, target in enumerate(MODELS)}


@dataclass(frozen=True)
class Star:
    """A character and its stored files: the clip, the clip cut to 3 s if there is one, and the stills, best first."""

    id: str
    name: str
    clip: bytes
    cut: bytes | None
    stills: list[bytes]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, luna_clip: Path) -> list[Path]:
    """Two clips: every provider takes the first as it is; two providers take the second only after a cut."""
    return [luna_clip, sample_clip(tmp_path_factory.mktemp("clips") / "moss.mp4", 5, (640, 360), "Moss")]


@pytest.fixture(scope="module")
def made(api: Api, clips: list[Path]) -> dict[str, list[Json]]:
    """Two characters for each model, each with a name of its own."""
    run = secrets.token_hex(2)  # the simulators of a stack that is used again remember earlier runs

    def make(model: str) -> list[Json]:
        names = [f"{name}{list(MODELS).index(model)}{run}" for name in ("Luna", "Moss")]
        return [api.character(clip, name, model=model) for name, clip in zip(names, clips, strict=True)]

    return dict(zip(MODELS, together(make, list(MODELS)), strict=True))


@pytest.fixture(scope="module")
def videos(request: pytest.FixtureRequest, api: Api, made: dict[str, list[Json]]) -> dict[Pair, str]:
    """The prompt of each pair's video, after the video was completed; this run's videos are ordered in parallel."""
    pairs = rings.wanted(request, "pair")

    def ask(pair: Pair) -> tuple[str, str]:
        cast = made[pair.source][: pair.count]
        prompt = PROMPT.format(" with ".join(one["name"] for one in cast), pair.target)
        body = {"prompt": prompt, "seconds": "4", "size": SIZE, "characters": [{"id": one["id"]} for one in cast]}
        return str(api.video(model=pair.target, **body)["id"]), prompt

    asked = together(ask, pairs)
    api.wait_all(video for video, _ in asked)
    return dict(zip(pairs, (prompt for _, prompt in asked), strict=True))


@pytest.fixture(scope="module")
def stars(stack: Stack, made: dict[str, list[Json]], videos: Any) -> dict[str, list[Star]]:
    """The bucket's files of each character, after all videos were made."""
    secret = stack.settings.client("secretsmanager").get_secret_value(SecretId=stack.outputs["IdSecretArn"])
    codec, s3, bucket = (
        IdCodec(secret["SecretString"].encode()),
        stack.settings.client("s3"),
        stack.outputs["BucketName"],
    )

    def star(character: Json) -> Star:
        prefix = f"media/characters/{TEAM}/{codec.decode(character['id'], Kind.CHARACTER, team=TEAM).record}/"
        keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]]
        kept = {key.removeprefix(prefix): s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
        stills = [kept[name] for name in sorted(kept) if name.startswith("still-")]
        return Star(character["id"], character["name"], kept["clip"], kept.get("clip-3s.mp4"), stills)

    return {model: [star(one) for one in cast] for model, cast in made.items()}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Sent(NamedTuple):
    """The request that a provider has to receive: every field of the order, and the files of the characters.

    A function in the place of a field decides whether the field's value is right: the provider's ids are not known
    beforehand.
    """

    body: Json
    files: list[str]


def to_sora(cast: list[Star], prompt: str) -> Sent:
    body = {"model": "sora-2", "prompt": prompt, "seconds": "4", "size": "1280x720"}
    characters = [{"id": lambda identity: identity.startswith("char_")} for _ in cast]
    return Sent({**body, "characters": characters}, [sha(star.clip) for star in cast])


def to_grok(cast: list[Star], prompt: str) -> Sent:
    """Return the order for Grok: three stills of each character, and a text that says who is on which still."""
    stills = [still for star in cast for still in star.stills[:3]]
    said = ""
    for n, star in enumerate(cast):
        names = [f"<IMAGE_{3 * n + place}>" for place in (1, 2, 3)]
        said += f"{star.name} is the character in {' and '.join(names)}. "
    body = {"model": "grok-imagine-video", "prompt": said + prompt, "duration": 4}
    images = [{"url": f"data:image/jpeg;base64,{encoded(still)}"} for still in stills]
    shape = {"aspect_ratio": "16:9", "resolution": "720p"}
    return Sent({**body, **shape, "reference_images": images}, [sha(still) for still in stills])


def to_omni(cast: list[Star], prompt: str) -> Sent:
    """Return the order for Omni: a clip of at most 3 s of each character, declared and cited after its name."""
    clips = [star.cut or star.clip for star in cast]
    declared = " ".join(f"<VIDEO_REF_{n}>@Video{n + 1}" for n in range(len(cast)))
    for n, star in enumerate(cast):
        prompt = prompt.replace(star.name, f"{star.name} (<VIDEO_REF_{n}>)")
    videos = [{"type": "video", "mime_type": "video/mp4", "data": encoded(clip)} for clip in clips]
    shape = {"resolution": "720p", "aspect_ratio": "16:9", "duration": "4s"}
    body = {
        "model": "gemini-omni-1.2-flash",
        "background": True,
        "store": True,
        "response_format": {"type": "video", "delivery": "uri", **shape},
        "input": [*videos, {"type": "text", "text": f"[# References {declared}] {prompt}"}],
        "generation_config": {"video_config": {"task": "reference_to_video"}},
    }
    return Sent(body, [sha(clip) for clip in clips])


def to_runway(cast: list[Star], prompt: str) -> Sent:
    clips = [star.cut or star.clip for star in cast]
    said = "".join(f"{star.name} is the character in Video {n}. " for n, star in enumerate(cast, 1))
    body = {"model": "gemini_omni_flash_1.1", "promptText": said + prompt, "ratio": "1280:720", "duration": 4}
    videos = [{"uri": lambda uri: uri.startswith("runway://")} for _ in clips]
    return Sent({**body, "referenceVideos": videos}, [sha(clip) for clip in clips])


def to_hailuo(cast: list[Star], prompt: str) -> Sent:
    """Return the order for Hailuo: the signed address of a clip of each character; the provider fetches the clips."""
    said = "".join(f"{star.name} is the character in Video {n}. " for n, star in enumerate(cast, 1))
    clip = {"type": "video_url", "video_url": {"url": is_signed}, "role": "reference_video"}
    content = [{"type": "text", "text": said + prompt}, *[clip for _ in cast]]
    body = {"model": "MiniMax-H3", "content": content, "resolution": "768P", "duration": 4, "ratio": "16:9"}
    return Sent(body, [sha(star.clip) for star in cast])


def is_signed(url: str) -> bool:
    return url.partition("?")[0].endswith("/clip") and "X-Amz-Signature=" in url


def to_kling(cast: list[Star], prompt: str) -> Sent:
    """Return the order for Kling: an element of each character, cited by name.

    The best still is the frontal picture of an element.
    """
    for star in cast:
        prompt = prompt.replace(star.name, f"@{star.name}")
    elements = [{"type": "element", "element_id": str.isdecimal, "id": star.name} for star in cast]
    settings = {"resolution": "720p", "duration": 4, "aspect_ratio": "16:9", "audio": "native", "multi_shot": False}
    body = {
        "contents": [{"type": "prompt", "text": prompt}, *elements],
        "settings": settings,
        "options": {"external_task_id": lambda reference: len(reference) == 28},
    }
    return Sent(body, [sha(star.stills[0]) for star in cast])


TO: dict[str, Callable[[list[Star], str], Sent]] = {
    "sora-2": to_sora,
    "grok": to_grok,
    "omni": to_omni,
    "runway": to_runway,
    "kling": to_kling,
    "hailuo": to_hailuo,
}


def differences(sent: Any, wanted: Any, path: str = "") -> Iterator[str]:
    """Yield each difference between what was sent and what was wanted, with its path."""
    if callable(wanted):
        if not wanted(sent):
            yield f"{path}: {sent!r}"
    elif isinstance(wanted, dict) and isinstance(sent, dict):
        for name in {**wanted, **sent}:
            yield from differences(sent.get(name), wanted.get(name), f"{path}.{name}")
    elif isinstance(wanted, list) and isinstance(sent, list) and len(wanted) == len(sent):
        for n, one in enumerate(wanted):
            yield from differences(sent[n], one, f"{path}[{n}]")
    elif sent != shortened(wanted):
        yield f"{path}: {sent!r} and not {shortened(wanted)!r}"


@pytest.mark.parametrize("pair", rings.inner(PAIRS, RING), ids=lambda pair: f"{pair.source} {pair.target} {pair.count}")
def test_what_reaches_the_provider(stack: Stack, pair: Pair, stars: Any, videos: Any) -> None:
    simulator, prompt = stack.simulator(MODELS[pair.target]), videos[pair]
    cast = stars[pair.source][: pair.count]
    wanted = TO[pair.target](cast, prompt)
    (job,) = [job for job in simulator.jobs() if prompt_of(wanted) in job["prompt"]]
    (order,) = [one for one in simulator.requests(method="POST") if one["created"] == job["id"]]
    assert list(differences(order["json"], wanted.body)) == []
    assert [file for _, file in job["references"]] == wanted.files
    assert (str(job["seconds"]), job["size"]) == ("4", SIZES.get(pair.target, SIZE))


def prompt_of(sent: Sent) -> str:
    """Return the whole prompt of an order, in whichever field the provider has it."""
    body = sent.body
    parts = [one for name in ("input", "contents", "content") for one in body.get(name, [])]
    texts = [one["text"] for one in parts if "text" in one]
    return str(body.get("prompt") or body.get("promptText") or texts[0])


def test_a_clip_is_cut_where_the_model_takes_no_longer_one(stars: dict[str, list[Star]], tmp_path: Path) -> None:
    luna, moss = stars["sora-2"]  # both are sent to a model that takes 3 s at most
    assert luna.cut is None
    assert moss.cut is not None
    (tmp_path / "cut.mp4").write_bytes(moss.cut)
    assert footage.probe(tmp_path / "cut.mp4").duration == pytest.approx(3, abs=0.05)


def test_an_element_is_made_of_the_stills_once(
    stack: Stack, stars: dict[str, list[Star]], videos: dict[Pair, str]
) -> None:
    """Kling stores characters itself: it gets one element for each of ours when the character is first used there."""
    simulator = stack.simulator("kling")
    elements = [one for one in simulator.requests(method="POST") if one["path"].endswith("/advanced-custom-elements")]
    used = {star.id: star for pair in videos if pair.target == "kling" for star in stars[pair.source][: pair.count]}
    assert len(used) >= 3
    for star in used.values():
        (order,) = [one["json"] for one in elements if one["json"]["element_name"] == star.name]
        assert set(order) == {
            *("element_name", "element_description", "reference_type", "element_image_list", "tag_list")
        }
        assert order["reference_type"] == "image_refer"
        images = order["element_image_list"]
        addresses = [images["frontal_image"], *(one["image_url"] for one in images["refer_images"])]
        assert [address.partition("?")[0].rpartition("/")[2] for address in addresses] == [
            f"still-{n}.jpg" for n in range(1, len(addresses) + 1)
        ]
        assert len(addresses) == min(4, len(star.stills))
        assert len({address.rpartition("/")[0] for address in (one.partition("?")[0] for one in addresses)}) == 1


OTHERS = [model for model in MODELS if model != "sora-2"]


class Remade(NamedTuple):
    source: Json
    edit: Json
    extension: Json


@pytest.fixture(scope="module")
def remade(api: Api) -> dict[str, Remade]:
    """A finished video of each model with its edit and its extension; the models run in parallel."""

    def make(model: str) -> Remade:
        source = api.finished(model=model, seconds="4", size=SIZE)
        edit = api.make("/videos/edits", prompt="Make it dusk", video={"id": source["id"]})
        body = {"prompt": "It goes on", "seconds": "4", "video": {"id": source["id"]}}
        return Remade(source, edit, api.make("/videos/extensions", **body))

    return dict(zip(OTHERS, together(make, OTHERS), strict=True))


@pytest.mark.parametrize("model", OTHERS)
def test_edit_and_extend_where_it_was_made(api: Api, remade: dict[str, Remade], model: str) -> None:
    size = SIZES.get(model, SIZE)
    source, edit, extension = remade[model]
    assert (source["seconds"], source["size"]) == ("4", size)
    api.wait_all([edit["id"], extension["id"]])
    assert api.wait(extension["id"])["seconds"] == "8"
    film = Film.of(api.download(extension["id"]).content)
    assert (f"{film.width}x{film.height}", round(film.seconds)) == (size, 8)


def test_a_video_of_one_is_edited_by_another(api: Api, movie: str) -> None:
    edits = [
        api.make("/videos/edits", prompt="Make it dusk", video={"id": movie}, model=model)["id"]
        for model in MODELS
        if model != "sora-2"
    ]
    api.wait_all(edits)
