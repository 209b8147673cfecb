from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.api.forms import FilePart
from understudy.api.requests import (
    CreateCharacter,
    CreateUpload,
    CreateVideo,
    EditVideo,
    ExtendVideo,
    ImageReference,
    VideoReference,
    validate,
)
from understudy.errors import InvalidRequest

FILE = FilePart("video", "v.mp4", "video/mp4", memoryview(b"bytes"))


class TestCreateVideo:
    def test_the_least(self) -> None:
        request = validate(CreateVideo, {"prompt": "A fox"})
        assert (request.seconds, request.size, request.characters, request.named_model) == (None, None, [], None)

    @pytest.mark.parametrize(("given", "seconds"), [("8", 8), (8, 8), ("08", 8), ("20", 20)])
    def test_seconds_are_text_or_a_number(self, given: Any, seconds: int) -> None:
        assert validate(CreateVideo, {"prompt": "x", "seconds": given}).seconds == seconds

    @pytest.mark.parametrize(
        "given",
        [FILE, {"image_url": "https://a/b"}, "https://a/b", {"upload_id": "upload_x"}, {"file_id": "f"}],
    )
    def test_every_form_of_an_image(self, given: Any) -> None:
        reference = validate(CreateVideo, {"prompt": "x", "input_reference": given}).input_reference
        assert isinstance(reference, FilePart | ImageReference)

    def test_every_form_of_a_character(self) -> None:
        request = validate(CreateVideo, {"prompt": "x", "characters": ["a", {"id": "b"}]})
        assert [one.id for one in request.characters] == ["a", "b"]

    @pytest.mark.parametrize(
        ("given", "model"),
        [
            ({}, None),
            ({"model": "a"}, "a"),
            ({"target_model_names": "a"}, "a"),
            ({"target_model_names": "a, b"}, "a"),
            ({"target_model_names": " , b"}, "b"),
            ({"target_model_names": ["a", "b"]}, "a"),
            ({"target_model_names": []}, None),
            ({"target_model_names": ""}, None),
            ({"model": "a", "target_model_names": "b"}, "a"),
        ],
    )
    def test_which_model_is_named(self, given: dict[str, Any], model: str | None) -> None:
        assert validate(CreateVideo, {"prompt": "x", **given}).named_model == model


class TestSources:
    @pytest.mark.parametrize("given", ["video_x", {"id": "video_x"}, {"upload_id": "upload_x"}])
    def test_a_video_by_reference(self, given: Any) -> None:
        assert isinstance(validate(EditVideo, {"prompt": "x", "video": given}).video, VideoReference)

    def test_a_video_as_a_file(self) -> None:
        assert validate(EditVideo, {"prompt": "x", "video": FILE}).video is FILE

    def test_an_object_is_never_taken_for_a_file(self) -> None:
        fake = {"name": "v", "filename": "v.mp4", "content_type": "video/mp4", "data": "bytes"}
        with pytest.raises(InvalidRequest):
            validate(EditVideo, {"prompt": "x", "video": fake})

    def test_an_extension_says_how_long(self) -> None:
        assert validate(ExtendVideo, {"prompt": "x", "video": "v", "seconds": 5}).seconds == 5


class TestNames:
    @pytest.mark.parametrize(
        ("given", "name"), [("Luna", "Luna"), (" Luna ", "Luna"), ("露娜", "露娜"), ("x" * 80, "x" * 80)]
    )
    def test_good(self, given: str, name: str) -> None:
        assert validate(CreateCharacter, {"name": given, "video": FILE}).name == name

    @pytest.mark.parametrize("given", ["", " ", "\t\n", "\u3000", "x" * 81])
    def test_bad(self, given: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            validate(CreateCharacter, {"name": given, "video": FILE})
        assert caught.value.param == "name"


class TestWhatIsNamed:
    """`param` names the caller's field with its full path, shortened and without unprintable characters."""

    @pytest.mark.parametrize(
        ("given", "param"),
        [
            ({"Seconds": "8"}, "Seconds"),
            ({"second": "8"}, "second"),
            ({"x-y": 1}, "x-y"),
            ({"": 1}, ""),
            ({"a\r\nb": 1}, "ab"),
            ({"x" * 5000: 1}, "x" * 80),
            ({"input_reference": {"URL": "https://a/b"}}, "input_reference.URL"),
            ({"characters": [{"id": "a", "Name": "b"}]}, "characters[0].Name"),
        ],
    )
    def test_unknown(self, given: dict[str, Any], param: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            validate(CreateVideo, {"prompt": "x", **given})
        assert (caught.value.code, caught.value.param) == ("unknown_parameter", param)
        assert caught.value.message == f"Unknown parameter: {param!r}."

    def test_a_field_of_several_kinds(self) -> None:
        with pytest.raises(InvalidRequest) as caught:
            validate(CreateVideo, {"prompt": "x", "target_model_names": 1})
        assert caught.value.param == "target_model_names"

    @pytest.mark.parametrize(
        ("given", "param"),
        [
            ({"mime_type": "image/png"}, "mime_type"),
            ({"mime_type": "text/plain"}, "mime_type"),
            ({"purpose": "image"}, "mime_type"),
            ({"purpose": "character"}, "name"),
            ({"purpose": "character", "name": " "}, "name"),
            ({"purpose": "song"}, "purpose"),
        ],
    )
    def test_an_upload_that_does_not_fit_its_purpose(self, given: dict[str, Any], param: str) -> None:
        fine = {"purpose": "video", "filename": "x", "bytes": 9, "mime_type": "video/mp4"}
        assert validate(CreateUpload, fine).purpose == "video"
        with pytest.raises(InvalidRequest) as caught:
            validate(CreateUpload, fine | given)
        assert caught.value.param == param


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    ["prompt", "seconds", "size", "model", "characters", "input_reference", "video", "target_model_names"]
)


@given(
    body=st.dictionaries(names | st.text(max_size=8), json_values, max_size=5),
    kind=st.sampled_from([CreateVideo, EditVideo]),
)
def test_whatever_comes_is_typed_or_refused_in_a_sentence(body: dict[str, Any], kind: Any) -> None:
    try:
        validate(kind, body)
    except InvalidRequest as error:
        assert error.message
        assert error.code
        assert len(error.message) < 500
