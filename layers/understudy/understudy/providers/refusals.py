"""What a provider's error response means: a `Refused` with its `Reason`, or `OutcomeUnknown`."""

from __future__ import annotations

import re
from typing import Any

from understudy.errors import OutcomeUnknown, Reason, Refused
from understudy.providers.base import Account
from understudy.providers.http import Answer

MAX_CODE = 100  # of an error's code, in characters
_ADDRESS = re.compile(r"\b(\w+://|https?:|data:\w+/)\S+")


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
        explained=error is not None,
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
    form, so it comes from the provider and not from a server in between. `status`: the HTTP status that other providers
    return for the same error; the response's own if None. `retry_after`: seconds, used if the response has no such
    header.
    """
    status = answer.status if status is None else status
    code = clean(account, code, MAX_CODE) or None
    message = clean(account, message) or f"The provider refused this with status {status}."
    param = clean(account, param, MAX_CODE) if param is not None else None
    retry_after = answer.headers.get("retry-after", retry_after)

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


def moderated(code: str | None, message: str) -> bool:
    """Return True if code or message name moderation, whatever the provider calls it."""
    words = f"{code} {message}".lower()
    return any(word in words for word in ("moderation", "content_policy", "content_filter", "contentfilter"))


def clean(account: Account, message: Any, length: int = 500) -> str:
    """Return a provider's words in one line of at most `length` characters, storable and without our key."""
    text = " ".join(str("" if message is None else message).split()).encode("utf-8", "replace").decode()
    return (text.replace(account.key, "***") if account.key else text)[:length]


def without_addresses(message: Any) -> str:
    """Return a provider's words without URLs and data URLs.

    The words may quote our request, and a presigned URL would give its reader access.
    """
    return _ADDRESS.sub("(address)", str(message or ""))
