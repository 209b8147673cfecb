"""What several providers do alike: addresses, keys, files to be read, names in prompts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote

from understudy.errors import Reason, Refused
from understudy.providers.base import Account, CastMember, Content, Progress


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
