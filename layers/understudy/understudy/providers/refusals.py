"""What a provider's error response means: a `Refused` with its `Reason`, or `OutcomeUnknown`.

A provider's words go through `words` before anything else reads them. So they are short before a regular expression
sees them, and no address of a file of ours reaches an answer, a row or the log.
"""

from __future__ import annotations

import re
from typing import Any

from understudy.errors import OutcomeUnknown, ProviderError, Reason, Refused
from understudy.providers.base import Account
from understudy.providers.http import Answer

MAX_WORDS = 2000  # of a provider's words that are read at all, in characters
MAX_CODE = 100  # of an error's code, in characters
_ADDRESS = re.compile(r"[\w+.-]{0,20}(://|:\\/|%3a%2f%2f)\S*|\b(https?:|data:\w{1,20}/)\S+", re.IGNORECASE)
# What is left of an address that somebody has taken apart: its query, or one of its parameters.
_SIGNED = re.compile(r"[?&][\w.~%-]{1,100}=|(x-amz|x-goog)-\w|\b(signature|sig|awsaccesskeyid)(=|%3d)", re.IGNORECASE)
_WAIT = re.compile(r"[\w ,:.+-]{1,40}", re.ASCII)  # a number of seconds, or a date


def refusal(account: Account, answer: Answer, *, gone: bool) -> Refused | OutcomeUnknown:
    """Return what a response in OpenAI's shape means if it is not a video.

    `gone`: a 404 is about the model, not about a job.
    """
    body = answer.json()
    error = body.get("error", body.get("detail")) if isinstance(body, dict) else None
    details: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    param = details.get("param")
    return verdict(
        account,
        answer,
        gone=gone,
        code=details.get("code") or details.get("type"),
        message=details.get("message"),
        param=param if isinstance(param, str) else None,
        explained=bool(error) and not _is_of_a_framework(details),
    )


def verdict(
    account: Account,
    answer: Answer,
    *,
    gone: bool,
    explained: bool,
    status: int | None = None,
    code: Any = None,
    message: Any = None,
    param: str | None = None,
    retry_after: str | None = None,
) -> Refused | OutcomeUnknown:
    """Return what a response means if it is not a video, from what the provider file has read in it.

    `gone`: a 404 is about the model, not about a job. `explained`: the response has an error in the provider's own
    form, so it comes from the provider and not from a server in between. Without it, a 404 says nothing about model or
    job: load balancers answer 404 while a server is replaced. `status`: the HTTP status that other providers return for
    the same error; the response's own if None. `retry_after`: seconds, used if the response has no such header.
    """
    status = answer.status if status is None else status
    code = clean(account, code, MAX_CODE) or None
    message = clean(account, message) or f"The provider refused this with status {status}."
    param = clean(account, param, MAX_CODE) if param is not None else None
    retry_after = answer.headers.get("retry-after", retry_after)
    retry_after = retry_after if retry_after and _WAIT.fullmatch(retry_after) else None

    def refused(reason: Reason) -> Refused:
        return Refused(reason, message, status=status, code=code, param=param, retry_after=retry_after)

    match status:
        case 400 | 403 | 422 if moderated(code, message):
            code = "moderation_blocked"
            return refused(Reason.MODERATION)
        case 401 | 403:
            return refused(Reason.CREDENTIALS)
        case 402:
            return refused(Reason.ARREARS)
        case 404 if not explained:
            return refused(Reason.UNAVAILABLE)
        case 404 if gone and "character" in f"{param} {message}".lower():
            return refused(Reason.LOST)
        case 404:
            return refused(Reason.GONE if gone else Reason.NOT_FOUND)
        case 410:
            return refused(Reason.GONE)
        case 429 if code in {"insufficient_quota", "billing_hard_limit_reached"}:
            return refused(Reason.ARREARS)
        case 429:
            return refused(Reason.BUSY)
        case 503 if explained:
            return refused(Reason.UNAVAILABLE)
        case 408:
            return OutcomeUnknown("The provider timed out.", timed_out=True)
        case _ if 400 <= status < 500:
            return refused(Reason.INVALID)
        case _ if 300 <= status < 400:
            return refused(Reason.UNAVAILABLE)  # a moved base_url: nothing was made there
    return OutcomeUnknown(f"The provider answered {status} without a video: {message}", retry_after=retry_after)


def says_absent(error: ProviderError) -> bool:
    """Return True if the provider itself says that it does not know the object. A deletion has nothing to do then."""
    return isinstance(error, Refused) and error.reason is Reason.NOT_FOUND


def moderated(code: str | None, message: str) -> bool:
    """Return True if code or message name moderation, whatever the provider calls it."""
    words = f"{code} {message}".lower()
    return any(word in words for word in ("moderation", "content_policy", "content_filter", "contentfilter"))


def _is_of_a_framework(error: dict[str, Any]) -> bool:
    """Return True for the 404 of a web framework for a path without a route, such as {"detail": "Not Found"}.

    It is Starlette's, so FastAPI's, with which vLLM-Omni and SGLang are made. For an unknown id these say
    {"detail": "Video not found"} (sources, 2026-11).
    """
    return error.get("message") == "Not Found" and error.get("code") in (None, 404)


def clean(account: Account, message: Any, length: int = 500) -> str:
    """Return a provider's words in one line of at most `length` characters, storable and without our key."""
    text = "" if message is None else str(message)
    text = words(text.replace(account.key, "***") if account.key else text)
    return " ".join(text.split()).encode("utf-8", "replace").decode()[:length]


def words(said: Any) -> str:
    """Return the beginning of a provider's words, without addresses.

    The words may quote our request, and a presigned URL would give its reader access.
    """
    text = "" if said is None else str(said)
    if len(text) > MAX_WORDS:  # the last word goes: half of it might not look like the address or the key that it is
        text = (text[:MAX_WORDS].rsplit(None, 1) or [""])[0]
    return re.sub(r"\S+", _without_address, text)


def _without_address(word: re.Match[str]) -> str:
    text = word[0]
    found = _ADDRESS.search(text)
    if found:
        return f"{text[: found.start()]}(address)"
    return "(address)" if _SIGNED.search(text) else text
