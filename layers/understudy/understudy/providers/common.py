"""What several providers do alike: options, addresses, keys, files, names in prompts."""

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
    """An id as a part of an address. Ids are data from outside: nothing in them is left that a URL would read as
    structure. Raises Refused(NOT_FOUND) for one that is only dots, which no quoting keeps from being a path."""
    if identity.strip(".") == "":
        raise Refused(Reason.NOT_FOUND, "The provider has no such thing.")
    return quote(identity, safe="")


def bearer(account: Account) -> dict[str, str]:
    """The header that says who we are, where that is a bearer token; none at a server that wants no key."""
    return {"authorization": f"Bearer {account.key}"} if account.key else {}


@contextmanager
def at_address(account: Account, progress: Progress) -> Iterator[Content]:
    """The video of a provider that gives an address for it: read without our key. For `open_content`."""
    if progress.output_url is None:
        raise Refused(Reason.NOT_FOUND, "The provider gave no address for the video.")
    with account.http.stream(progress.output_url, {}) as (status, headers, chunks):
        if status != 200:
            gone = status in {401, 403, 404, 410}  # an address that has died says one of these
            reason = Reason.NOT_FOUND if gone else Reason.UNAVAILABLE
            raise Refused(
                reason, f"The video's address answered {status}.", status=status, retry_after=headers.get("retry-after")
            )
        yield content_of(headers, chunks)


def content_of(headers: Mapping[str, str], chunks: Iterator[bytes]) -> Content:
    """A file that is being answered, by its headers."""
    length = headers.get("content-length")
    mime_type = headers.get("content-type", "video/mp4").partition(";")[0]
    return Content(mime_type, int(length) if length else None, chunks)


def checked_prompt(prompt: str, most: int, length: int | None = None) -> str:
    """Return the prompt as it is sent. Raises Refused(INVALID) if the model does not take so long a one.

    `Profile.prompt_characters` bounds what the caller wrote. A provider file adds references to characters, so it asks
    again. `length` is the prompt's length in the provider's unit, where that is not a character.
    """
    if (len(prompt) if length is None else length) > most:
        message = (
            f"The prompt and the references added for its characters exceed this model's limit of {most:,} characters. "
            "Shorten the prompt."
        )
        raise Refused(Reason.INVALID, message, param="prompt")
    return prompt


def with_names(prompt: str, cast: tuple[CastMember, ...]) -> str:
    """The prompt with every character's name in it, as a word: those it does not mention are put in front.

    OpenAI-shaped servers act on a character only if its name stands verbatim in the prompt (video guide, 2026-09).
    """
    names = dict.fromkeys(member.name for member in cast)
    missing = [name for name in names if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", prompt)]
    return f"Featuring {' and '.join(missing)}. {prompt}" if missing else prompt


def as_files(cast: tuple[CastMember, ...], clips: Iterable[Media] = ()) -> tuple[list[Media], Media | None, str]:
    """Characters as files of an order.

    Returns the clips of the order with theirs behind them, the still that becomes the first frame, if there is one, and
    sentences that say who is where.
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
    """The profile as the deployment's options change it."""
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
    """What was found in an answer, if it is an object; else an empty one."""
    return found if isinstance(found, dict) else {}


def dicts(found: Any) -> list[dict[str, Any]]:
    """The objects of what was found in an answer, if it is a list."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def data_url(image: Media) -> str:
    """An image inside the request. For small ones: all of it is in memory, and a third larger."""
    with image.open() as file:
        return f"data:{image.mime_type};base64,{base64.b64encode(file.read()).decode()}"


def image_url(image: Media, inline_bytes: int) -> str:
    """An image of up to so many bytes inside the request, a larger one by its address."""
    return data_url(image) if image.size <= inline_bytes else image.url()
