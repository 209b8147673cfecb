"""What several provider files use: options, URLs, keys, files, names in prompts."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from understudy.errors import Reason, Refused
from understudy.providers.base import Account, CastMember, Content, Media, Profile, Progress
from understudy.providers.prices import Prices


def quoted(identity: str) -> str:
    """Return an id quoted as a part of a URL.

    Ids are data from outside: after quoting, a URL reads nothing in them as structure. Raises Refused(NOT_FOUND) for an
    empty id and for an id of dots only, which no quoting keeps from being a path.
    """
    if identity.strip(".") == "":
        raise Refused(Reason.NOT_FOUND, "The provider has no object with this id.")
    return quote(identity, safe="")


def bearer(account: Account) -> dict[str, str]:
    """Return the header with our key as a bearer token; no header if the server wants no key."""
    return {"authorization": f"Bearer {account.key}"} if account.key else {}


@contextmanager
def at_address(account: Account, progress: Progress) -> Iterator[Content]:
    """Read the video from the URL that the provider gave for it, without our key. For `open_content`.

    Raises Refused(NOT_FOUND) if there is no URL or the URL has expired.
    """
    if progress.output_url is None:
        raise Refused(Reason.NOT_FOUND, "The provider gave no address for the video.")
    with account.http.stream(progress.output_url, {}) as (status, headers, chunks):
        if status != 200:
            gone = status in {401, 403, 404, 410}  # an expired URL returns one of these
            reason = Reason.NOT_FOUND if gone else Reason.UNAVAILABLE
            raise Refused(
                reason, f"The video's address answered {status}.", status=status, retry_after=headers.get("retry-after")
            )
        yield content_of(headers, chunks)


def content_of(headers: Mapping[str, str], chunks: Iterator[bytes]) -> Content:
    """Return a response's body as a file, with type and size from its headers."""
    length = "" if "content-encoding" in headers else headers.get("content-length", "")  # of the packed bytes
    mime_type = headers.get("content-type", "video/mp4").partition(";")[0]
    return Content(mime_type, int(length) if re.fullmatch(r"[0-9]{1,15}", length) else None, chunks)


def checked_prompt(prompt: str, most: int, length: int | None = None) -> str:
    """Return the prompt as it is sent. Raises Refused(INVALID) if the prompt is too long for the model.

    `Profile.prompt_characters` limits what the caller wrote. A provider file adds references to characters, so it
    checks the length again. `length` is the prompt's length in the provider's unit, if that is not a character.
    """
    if (len(prompt) if length is None else length) > most:
        message = (
            f"The prompt and the references added for its characters exceed this model's limit of {most:,} characters. "
            "Shorten the prompt."
        )
        raise Refused(Reason.INVALID, message, param="prompt")
    return prompt


def with_names(prompt: str, cast: tuple[CastMember, ...]) -> str:
    """Return the prompt with every character's name in it as a word. Names that it lacks are put in front.

    OpenAI-shaped servers use a character only if its name is in the prompt verbatim (video guide, 2026-09).
    """
    names = dict.fromkeys(member.name for member in cast)
    missing = [name for name in names if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", prompt)]
    return f"Featuring {' and '.join(missing)}. {prompt}" if missing else prompt


def as_files(cast: tuple[CastMember, ...], clips: Iterable[Media] = ()) -> tuple[list[Media], Media | None, str]:
    """Return the characters as files of an order: clips, first frame, and sentences for the prompt.

    The order's own `clips` come first, then the characters' clips. The first frame is a character's still, or None. The
    sentences say which character is where.
    """
    files, first_frame, said = list(clips), None, ""
    for member in cast:
        if member.clip:
            files.append(member.clip)
            said += f"{member.name} is the character in Video {len(files)}. "
        elif member.stills:
            first_frame = member.stills[0]
            said += f"{member.name} is the character in the first frame. "
    return files, first_frame, said


def with_options(profile: Profile, options: Mapping[str, Any]) -> Profile:
    """Return the profile, changed by the deployment's options."""
    changes: dict[str, Any] = {}
    for name in ("seconds", "sizes", "extend_seconds"):
        if name in options:
            changes[name] = tuple(options[name])
    for name in ("edit", "remix", "delete", "prompt_characters", "kept_seconds", "deadline_seconds"):
        if name in options:
            changes[name] = options[name]
    if "micro_dollars" in options:
        changes["prices"] = Prices.of(options["micro_dollars"])
    if "first_frame" in options:
        changes["input_image"] = bool(options["first_frame"])
    if "edit" in options:
        changes["edit_upload"] = bool(options["edit"])
    if "extend_seconds" in options:
        changes["extend_upload"] = bool(options["extend_seconds"])
    if "characters" in options:
        native = int(options["characters"])
        changes["characters"] = replace(profile.characters, native=native, findable=native > 0)
    if "seconds" in options:
        changes["default_seconds"] = changes["seconds"][0]
    if "sizes" in options:
        changes["default_size"] = changes["sizes"][0]
    return replace(profile, **changes)


def as_dict(found: Any) -> dict[str, Any]:
    """Return `found` if it is a JSON object, else an empty one."""
    return found if isinstance(found, dict) else {}


def dicts(found: Any) -> list[dict[str, Any]]:
    """Return the JSON objects in `found` if it is a list, else an empty list."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def data_url(image: Media) -> str:
    """Return an image as a data URL. For small images: the whole file is in memory, and a third larger."""
    with image.open() as file:
        return f"data:{image.mime_type};base64,{base64.b64encode(file.read()).decode()}"


def image_url(image: Media, inline_bytes: int) -> str:
    """Return an image of up to `inline_bytes` as a data URL, and a larger image as a presigned URL."""
    return data_url(image) if image.size <= inline_bytes else image.url()
