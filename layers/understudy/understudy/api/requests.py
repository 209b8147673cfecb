"""The typed requests of the API. Bodies arrive parsed (api/bodies.py). Errors are reported in OpenAI's envelope.

Unknown fields are refused, as OpenAI refuses them: a misspelt `second` must not cost the default eight seconds. The few
fields that clients add on their own and that change nothing here are dropped (`IGNORED`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from understudy.api.forms import FilePart
from understudy.characters.name import MAX_NAME
from understudy.errors import InvalidRequest

REFUSED = frozenset({"file_id"})  # accepted only to be refused with an explanation
IGNORED = frozenset({"timeout", "user", "metadata", "extra_body", "extra_headers", "extra_query"})
MAX_PROMPT = 32_000
MAX_ID = 1024
VIDEO_TYPES = ("video/mp4", "video/quicktime", "video/webm")
IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp")
NOT_BLANK: dict[str, Any] = {"pattern": r"\S"}


def _seconds(value: Any) -> Any:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 5:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError('must be a whole number of seconds, such as "8"')


def _id_object(value: Any) -> Any:
    """Return {"id": ...} for a bare id string, and any other value unchanged."""
    return {"id": value} if isinstance(value, str) else value


Id = Annotated[str, Field(min_length=1, max_length=MAX_ID)]
# Text in OpenAI's API; a number is read, too. `pattern` is for the text, `minimum` and `maximum` for the number.
_SECONDS = {"type": ["string", "integer"], "pattern": "^[1-9][0-9]{0,3}$", "minimum": 1, "maximum": 9999}
Seconds = Annotated[int, BeforeValidator(_seconds), Field(ge=1, le=9999), WithJsonSchema(_SECONDS)]
Size = Annotated[str, Field(pattern=r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$", examples=["1280x720"])]
Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT, examples=["Luna runs over wet stones"])]
# Only an instance is accepted. From a plain dataclass type, pydantic would build a file from a JSON object, too.
File = Annotated[
    InstanceOf[FilePart], WithJsonSchema({"type": "string", "contentMediaType": "application/octet-stream"})
]


class Body(BaseModel):
    """The base of all request bodies."""

    # Built when the first body is read, because each function reads only one kind of body.
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True, defer_build=True)


class Reference(Body):
    """A reference by id."""

    id: Id


def _ways(schema: dict[str, Any]) -> None:
    """Describe in the JSON schema what `OneOf.exactly_one` checks: an object for each way."""
    ways = schema.pop("properties")
    alone = {"type": "object", "additionalProperties": schema.pop("additionalProperties")}
    schema["anyOf"] = [{**alone, "required": [name], "properties": {name: ways[name]["anyOf"][0]}} for name in ways]


class OneOf(Body):
    """A reference in exactly one of several ways."""

    model_config = ConfigDict(json_schema_extra=_ways)

    @model_validator(mode="after")
    def exactly_one(self) -> Self:
        if sum(value is not None for _, value in self) != 1:
            offered = (name for name in type(self).model_fields if name not in REFUSED)
            raise ValueError(f"give exactly one of {' or '.join(offered)}")
        return self


class ImageReference(OneOf):
    """An image by URL (https or data), or as an upload. A `file_id` is refused with an explanation."""

    image_url: str | None = None
    file_id: str | None = None
    upload_id: str | None = None


class VideoReference(OneOf):
    """A finished video by its id, or an upload."""

    id: Id | None = None
    upload_id: Id | None = None


CharacterReference = Annotated[Reference, BeforeValidator(_id_object)]
VideoInput = File | Annotated[VideoReference, BeforeValidator(_id_object)]


def _image(value: Any) -> Any:
    return {"image_url": value} if isinstance(value, str) else value


class Routed(Body):
    """A request that may name its model. If LiteLLM's `target_model_names` has several names, the first counts."""

    model: str | None = Field(None, min_length=1, max_length=200, examples=["sora-2"])
    target_model_names: str | list[str] | None = None
    custom_llm_provider: str | None = Field(None, max_length=100)

    @property
    def named_model(self) -> str | None:
        """The model that the caller named, in `model` or in `target_model_names`; None if there is no name."""
        if self.model:
            return self.model
        names = self.target_model_names or []
        listed = names.split(",") if isinstance(names, str) else names
        return next((name.strip() for name in listed if name.strip()), None)


class CreateVideo(Routed):
    """The body of POST /videos."""

    prompt: Prompt
    seconds: Seconds | None = None
    size: Size | None = None
    input_reference: Annotated[File | ImageReference, BeforeValidator(_image)] | None = None
    characters: list[CharacterReference] = Field(default_factory=list, max_length=20)


class EditVideo(Routed):
    """The body of POST /videos/edits."""

    prompt: Prompt
    video: VideoInput


class ExtendVideo(Routed):
    """The body of POST /videos/extensions."""

    prompt: Prompt
    video: VideoInput
    seconds: Seconds


class RemixVideo(Body):
    """The body of POST /videos/{video_id}/remix."""

    prompt: Prompt


class CreateCharacter(Routed):
    """The body of POST /videos/characters."""

    name: str = Field(max_length=MAX_NAME, json_schema_extra=NOT_BLANK)
    video: VideoInput

    @field_validator("name")
    @classmethod
    def not_blank(cls, name: str) -> str:
        if not name.strip():
            raise ValueError("must not be blank, because the prompt refers to the character by its name")
        return name.strip()


class CreateUpload(Body):
    """The body of POST /videos/uploads."""

    purpose: Literal["character", "video", "image"]
    filename: str = Field(min_length=1, max_length=255)
    bytes: int = Field(gt=0)
    mime_type: Annotated[str, Field(json_schema_extra={"enum": [*VIDEO_TYPES, *IMAGE_TYPES]})]
    name: str | None = Field(None, max_length=MAX_NAME, validate_default=True)
    model: str | None = Field(None, min_length=1, max_length=200, examples=["sora-2"])

    @field_validator("mime_type")
    @classmethod
    def fits_the_purpose(cls, mime_type: str, info: ValidationInfo) -> str:
        kinds = IMAGE_TYPES if info.data.get("purpose") == "image" else VIDEO_TYPES
        if mime_type not in kinds:
            raise ValueError(f"must be one of {', '.join(kinds)} for this purpose")
        return mime_type

    @field_validator("name")
    @classmethod
    def names_a_character(cls, name: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("purpose") == "character" and not (name or "").strip():
            raise ValueError("is required, because the prompt refers to the character by its name")
        return name


class SignParts(Body):
    """The body of POST /videos/uploads/{upload_id}/parts.

    Without `part_numbers`, the URLs are for parts that have not arrived.
    """

    part_numbers: list[Annotated[int, Field(ge=1, le=10_000)]] | None = Field(None, max_length=100)


_WANTED = {
    "video": 'a file, or an object such as {"id": "video_..."}',
    "input_reference": 'a file, or an object such as {"image_url": "https://..."}',
}
T = TypeVar("T", bound=Body)


def build() -> None:
    """Build the pydantic models of the requests now, so that the first request does not wait (api/snapstart.py)."""
    for kind in (CreateVideo, EditVideo, ExtendVideo, RemixVideo, CreateCharacter, CreateUpload, SignParts):
        kind.model_rebuild()


def validate(kind: type[T], body: Mapping[str, Any]) -> T:
    """Return the typed request. Raises InvalidRequest for the first error in the body."""
    try:
        return kind.model_validate({name: value for name, value in body.items() if name not in IGNORED})
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError) -> InvalidRequest:
    wrong = error.errors(include_url=False, include_input=False)
    # If the field may also be a file, the error about the other type says what is wrong.
    first = next((one for one in wrong if one["type"] != "is_instance_of"), wrong[0])
    param = _param(first["loc"])
    match first["type"]:
        case "extra_forbidden":
            name = _unknown(first["loc"])
            return InvalidRequest(f"Unknown parameter: {name!r}.", param=name, code="unknown_parameter")
        case "missing":
            return InvalidRequest(
                f"Missing required parameter: {param!r}.", param=param, code="missing_required_parameter"
            )
        case "model_type" | "is_instance_of":
            return InvalidRequest(
                f"{param or 'The request'}: must be {_WANTED.get(param or '', 'an object')}.", param=param
            )
        case "value_error":
            return InvalidRequest(f"{param or 'The request'}: {first['ctx']['error']}.", param=param)
    return InvalidRequest(f"{param or 'The request'}: {first['msg']}.", param=param)


def _param(location: tuple[int | str, ...]) -> str | None:
    """Return the field's name as OpenAI writes it: `characters[0].id`.

    Names of union members are left out: `str`, `list[str]` or the name of a class. Field names are words in lower case.
    """
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.islower() and part.isidentifier() and part != "str":
            text += f".{part}" if text else part
    return text or None


def _unknown(location: tuple[int | str, ...]) -> str:
    """Return the name of an unknown field. Its last part is the caller's text, shortened and cleaned for quoting."""
    *way, name = location
    shown = "".join(character for character in str(name)[:MAX_NAME] if character.isprintable())
    known = _param(tuple(way))
    return f"{known}.{shown}" if known else shown
