from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from understudy.characters.character import Character
from understudy.deployments.config import Deployment, Deployments
from understudy.errors import InvalidRequest, Unsupported
from understudy.jobs import capabilities
from understudy.jobs.capabilities import Wish
from understudy.providers.base import CharacterSupport, Profile, SourceLimits
from understudy.providers.sizes import fit

HERE = Deployment("here", "openai", "https://here.example", {"m": "x"})
FEW = CharacterSupport(native=2, seconds=(4,), sizes=("1280x720", "720x1280"), beside_image=1)
CLIPS = SourceLimits((3.0, 8.0), sides=(700, 1000), whole=20.0)
PROFILE = Profile(
    seconds=(4, 8),
    sizes=("1280x720", "720x1280", "1080x1920"),
    default_seconds=4,
    default_size="1280x720",
    prompt_characters=20,
    characters=CharacterSupport(native=2, clip_seconds=(1.0, 5.0)),
    edit=True,
    extend_seconds=(4,),
    remix=True,
)


def character(milliseconds: int = 3000) -> Character:
    return Character("t", "r", "Luna", 1, "video/mp4", 1, milliseconds, 1, 1, [], "here", "openai", "r")


# A character that was adopted by the provider's own id has no clip (api/raw_ids.py).
CLIPLESS = replace(character(0), mime_type="", byte_count=0, width=0, height=0)


def objection(wish: Wish, **changes: Any) -> str | None:
    """Return the field that is refused, or None."""
    error = capabilities.objection(wish, HERE, replace(PROFILE, **changes))
    if error is None:
        return None
    assert isinstance(error, InvalidRequest)
    assert error.status == 400
    return error.param


def create(**facts: Any) -> Wish:
    return Wish("create", **{"prompt": "A fox", **facts})


@pytest.mark.parametrize(
    ("wish", "changes", "param"),
    [
        (create(), {}, None),
        (create(seconds=8, size="720x1280", has_image=True, characters=[character()] * 2), {}, None),
        (create(seconds=7), {}, "seconds"),
        (create(size="999x999"), {}, "size"),
        (create(prompt="x" * 20), {}, None),
        (create(prompt="x" * 21), {}, "prompt"),
        (create(has_image=True), {"input_image": False}, "input_reference"),
        (create(characters=[character()] * 3), {}, "characters"),
        (create(characters=[character()]), {"characters": CharacterSupport()}, "characters"),
        (create(characters=[character(), character(500)]), {}, "characters[1]"),
        (create(characters=[character(5001)]), {}, "characters[0]"),
        (create(characters=[character(1000), character(5000)]), {}, None),
        (
            create(characters=[character(60_000)]),
            {"characters": CharacterSupport(reference_videos=1, trim=True, clip_seconds=(1, 5))},
            None,
        ),
        # Lengths and sizes that the model makes only without characters.
        (create(seconds=8, size="1080x1920"), {"characters": FEW}, None),
        (create(seconds=8, characters=[character()]), {"characters": FEW}, "seconds"),
        (create(seconds=4, characters=[character()]), {"characters": FEW}, None),
        (create(size="1080x1920", characters=[character()]), {"characters": FEW}, "size"),
        (create(size="1024x1792", characters=[character()]), {"characters": FEW}, "size"),
        (create(size="640x360", characters=[character()]), {"characters": FEW}, None),
        (create(size="1280x720", characters=[character()]), {"characters": FEW, "sizes": ("1080x1920",)}, "size"),
        (create(characters=[character()]), {"characters": FEW, "sizes": ("1080x1920",)}, "characters"),
        (create(has_image=True, characters=[character()]), {"characters": FEW}, None),
        (create(has_image=True, characters=[character()] * 2), {"characters": FEW}, "characters"),
        (create(has_image=True, characters=[character()]), {"characters": replace(FEW, beside_image=0)}, "characters"),
        (create(characters=[CLIPLESS]), {}, None),
        (create(characters=[CLIPLESS] * 3), {}, "characters"),
        (create(characters=[character(), replace(CLIPLESS, home="there")]), {}, "characters[1]"),
        (create(characters=[CLIPLESS]), {"characters": CharacterSupport(reference_videos=1)}, "characters[0]"),
        (create(characters=[CLIPLESS]), {"characters": CharacterSupport()}, "characters"),
        (Wish("edit", "x", made_by="here"), {}, None),
        (Wish("edit", "x"), {}, "model"),
        (Wish("edit", "x", made_by="there"), {}, "model"),
        (Wish("edit", "x"), {"edit_upload": True}, None),
        (Wish("edit", "x", made_by="here"), {"edit": False, "edit_upload": True}, "model"),
        (Wish("extend", "x", seconds=4, made_by="here"), {}, None),
        (Wish("extend", "x", seconds=8, made_by="here"), {}, "seconds"),
        (Wish("extend", "x", seconds=8), {"extend_upload": True}, "seconds"),
        (Wish("extend", "x", seconds=4), {"input_image": False}, "model"),
        (Wish("extend", "x", seconds=4), {"input_image": False, "extend_upload": True}, None),
        (Wish("extend", "x", seconds=4, made_by="here"), {"input_image": False, "extend_seconds": ()}, "model"),
        # Emulated: a new video, of one of the lengths and sizes of new videos.
        (Wish("extend", "x", seconds=8), {}, None),
        (Wish("extend", "x", seconds=8, made_by="here"), {"extend_seconds": ()}, None),
        (Wish("extend", "x", seconds=12), {}, "seconds"),
        (Wish("extend", "x", seconds=8), {"seconds": ()}, "model"),
        (Wish("extend", "x", seconds=8, source_seconds=4, source_size="1280x720"), {}, None),
        (Wish("extend", "x", seconds=8, source_seconds=4, source_size="1024x1820"), {}, None),
        (Wish("extend", "x", seconds=8, source_seconds=4, source_size="1024x768"), {}, "video"),
        (Wish("extend", "x", seconds=4, source_seconds=4, source_size="1024x768"), {"extend_upload": True}, None),
        (Wish("extend", "x", seconds=8, source_seconds=52, source_size="1080x1920"), {}, None),
        (Wish("extend", "x", seconds=8, source_seconds=53, source_size="1080x1920"), {}, "video"),
        # A clip that is edited or extended has to be one that the model accepts.
        *(
            (Wish("edit", "x", source_seconds=length), {"edit_upload": True, "edit_source": CLIPS}, param)
            for length, param in ((2.95, None), (8.0, None), (8.08, None), (2.8, "video"), (8.2, "video"))
        ),
        *(
            (Wish("edit", "x", source_seconds=4, source_size=size), {"edit_upload": True, "edit_source": CLIPS}, param)
            for size, param in (("700x1000", None), ("699x900", "video"), ("1001x720", "video"))
        ),
        (Wish("edit", "x", made_by="here", source_seconds=20), {"edit_source": CLIPS}, None),
        (Wish("edit", "x", made_by="here", source_seconds=20), {"edit_source": CLIPS, "source_by_clip": True}, "video"),
        (Wish("extend", "x", seconds=4, made_by="here", source_seconds=16), {"extend_source": CLIPS}, None),
        (Wish("extend", "x", seconds=4, made_by="here", source_seconds=17), {"extend_source": CLIPS}, "video"),
        (Wish("remix", "x", made_by="here"), {}, None),
        (Wish("remix", "x", made_by="there"), {}, "model"),
        (Wish("remix", "x", made_by="here"), {"remix": False}, "model"),
    ],
)
def test_objections(wish: Wish, changes: dict[str, Any], param: str | None) -> None:
    assert objection(wish, **changes) == param


def test_an_objection_says_what_is_possible() -> None:
    for wish, words in (
        (create(seconds=7), '"4", "8"'),
        (create(size="999x999"), "1280x720, 720x1280, 1080x1920"),
        (create(characters=[character(9000)]), "9.0 s long; this model takes clips of 1 to 5 s"),
        (create(characters=[character()] * 3), "at most 2"),
    ):
        error = capabilities.objection(wish, HERE, PROFILE)
        assert error is not None
        assert words in error.message


def test_an_objection_to_characters_says_what_is_possible_with_them() -> None:
    cast = [character()]
    for wish, words in (
        (create(seconds=8, characters=cast), '"8" is not supported with characters. Supported: "4".'),
        (create(size="1080x1920", characters=cast), "1080x1920 is not supported with characters. Supported: 128"),
        (create(has_image=True, characters=cast * 2), "with an input_reference this model takes at most 1."),
    ):
        error = capabilities.objection(wish, HERE, replace(PROFILE, characters=FEW))
        assert isinstance(error, Unsupported)  # so that the models that can are named
        assert words in error.message


def test_defaults_are_possible_with_characters_too() -> None:
    few = replace(FEW, seconds=(8,), sizes=("1080x1920", "720x1280"))
    profile = replace(PROFILE, characters=few)
    assert (profile.playing(cast=False), profile.default_seconds, profile.default_size) == (profile, 4, "1280x720")
    able = profile.playing(cast=True)
    assert (able.seconds, able.default_seconds) == ((8,), 8)
    assert (able.sizes, able.default_size) == (("720x1280", "1080x1920"), "720x1280")


@pytest.mark.parametrize(
    ("size", "made"),
    [
        ("1280x720", "1280x720"),
        ("1024x1792", "1080x1920"),
        ("640x360", "1280x720"),
        ("1281x720", None),
        ("1920x1080", None),
        ("720x720", None),
        ("720x1279", "720x1280"),
    ],
)
def test_a_size_becomes_the_smallest_of_its_shape_that_is_not_smaller(size: str, made: str | None) -> None:
    assert fit(size, PROFILE.sizes) == made


def test_advice_names_the_models_that_can() -> None:
    deployments = Deployments(
        [
            Deployment("a", "openai", "https://a", {"able": "x"}, options={"characters": 2}, default=True),
            Deployment("b", "openai", "https://b", {"unable": "x"}, options={"characters": 0}),
            Deployment("c", "hosted_vllm", "https://c", {"too": "x"}, options={"references": "image"}),
        ]
    )
    wish = create(characters=[character()])
    assert list(capabilities.able(deployments, wish)) == ["able", "too"]
    objection = Unsupported("This model does not support characters.")
    advised = capabilities.advise(objection, capabilities.able(deployments, wish))
    assert advised.message == "This model does not support characters. Models that can: able, too."
    assert capabilities.advise(Unsupported("No."), []).message == "No. No model of this key can."
    assert capabilities.advise(InvalidRequest("No."), ["a"]).message == "No."
