"""The tree of errors, and their one envelope.

UnderstudyError
├── ApiError                    what a caller sees; carries status, type, param, code and headers
│   ├── InvalidRequest          400
│   │   ├── Unsupported         400  the model cannot do it; the message names the models that can
│   │   ├── NotReady            400  the video or the upload is not finished yet
│   │   └── BodyError           400, 413 or 415  the body cannot be read (api/text.py)
│   ├── Unauthenticated         401
│   ├── PermissionDenied        403
│   ├── NotFound                404  unknown, tampered and foreign ids alike
│   ├── Conflict                409
│   ├── KeyReused               422  the Idempotency-Key belongs to another request
│   ├── RateLimited             429
│   │   └── StorageFull         429  the team stores as much as it may; a retry does not help
│   ├── ProviderFailed          502  for the operator or the provider to fix, never for the caller
│   ├── Unavailable             503
│   └── TimedOut                504
└── ProviderError               what a provider file raises; the core decides what it means
    ├── Refused                 the provider refused: nothing was made, nothing is owed
    │   └── Ours                the fault is not the provider's
    │       └── OutOfTime       Understudy's own time was over before the provider had a chance
    └── OutcomeUnknown          bytes were sent and no usable answer came back: never sent again
"""

from __future__ import annotations

import re
import time
from enum import StrEnum
from typing import Any

# The official clients repeat a POST on 409 and 5xx unless this header forbids it (openai-python 3.54.0, openai-node 6).
NO_RETRY = {"x-should-retry": "false"}


class UnderstudyError(Exception):
    """Base of every error that Understudy raises on purpose."""


class ApiError(UnderstudyError):
    """An error response in OpenAI's envelope.

    `message` is for the caller and says what to do instead. `param` names the wrong field. `code` is stable and meant
    for programs. `headers` are sent with the response.
    """

    status = 500
    type = "server_error"
    code: str | None = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or type(self).code
        self.headers = dict(headers or {})

    @property
    def passing(self) -> bool:
        """Whether the same work may succeed later: the fault is not in what was sent."""
        return self.status >= 500 or self.status == 429

    @property
    def retried(self) -> bool:
        """Whether the official clients send the request again after this error."""
        wanted = self.headers.get("x-should-retry")
        return wanted == "true" or (wanted is None and (self.status >= 500 or self.status in {408, 409, 429}))

    def envelope(self) -> dict[str, Any]:
        """Return the response body, in OpenAI's shape."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class InvalidRequest(ApiError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class Unsupported(InvalidRequest):
    code = "unsupported_operation"


class NotReady(InvalidRequest):
    code = "video_not_ready"


class Unauthenticated(ApiError):
    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class PermissionDenied(ApiError):
    status = 403
    type = "invalid_request_error"
    code = "permission_denied"


class NotFound(ApiError):
    status = 404
    type = "invalid_request_error"
    code = "not_found"


class Conflict(ApiError):
    status = 409
    type = "invalid_request_error"
    code = "conflict"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] = NO_RETRY,
    ) -> None:
        super().__init__(message, param=param, code=code, headers=headers)


class KeyReused(ApiError):
    status = 422
    type = "invalid_request_error"
    code = "idempotency_key_reused"


class RateLimited(ApiError):
    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class StorageFull(RateLimited):
    code = "storage_limit"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers=NO_RETRY)

    @property
    def passing(self) -> bool:
        """Whether the same work may succeed later: not before the team has deleted something."""
        return False


class ProviderFailed(ApiError):
    status = 502
    type = "server_error"
    code = "provider_error"


class Unavailable(ApiError):
    status = 503
    type = "server_error"
    code = "provider_unavailable"


class TimedOut(ApiError):
    status = 504
    type = "server_error"
    code = "provider_timeout"


class Reason(StrEnum):
    """Why a provider refused. The first five allow asking another deployment, because nothing was made."""

    CREDENTIALS = "credentials"  # 401, 403: our key is wrong there
    ARREARS = "arrears"  # 402, or a billing code inside another status
    GONE = "gone"  # 404 for the model, 410: retired
    BUSY = "busy"  # 429
    UNAVAILABLE = "unavailable"  # connection never made, or 503 in the provider's own error shape
    MODERATION = "moderation"
    INVALID = "invalid"  # any other 4xx
    NOT_FOUND = "not_found"  # the job is unknown there
    LOST = "lost"  # a character that an order names is unknown there, and has to be made again


MOVABLE = frozenset({Reason.CREDENTIALS, Reason.ARREARS, Reason.GONE, Reason.BUSY, Reason.UNAVAILABLE})


class ProviderError(UnderstudyError):
    """Base of what a provider file raises. `retry_after` is the Retry-After header: seconds, or a date."""

    def __init__(self, message: str, *, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after

    @property
    def pause(self) -> float:
        """The seconds that the provider asks to wait; 0 if it does not say, or says nothing sensible."""
        wanted = (self.retry_after or "").strip()
        if re.fullmatch(r"\d{1,9}(\.\d*)?", wanted, re.ASCII):
            return float(wanted)
        from email.utils import parsedate_to_datetime  # only here: most functions never see a provider

        try:
            return max(parsedate_to_datetime(wanted).timestamp() - time.time(), 0.0) if wanted else 0.0
        except (ValueError, OverflowError):
            return 0.0


class Refused(ProviderError):
    """A definite refusal. `status` is the provider's HTTP status, or 0 if the provider was never reached."""

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        status: int = 0,
        code: str | None = None,
        param: str | None = None,
        retry_after: str | None = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.reason = reason
        self.status = status
        self.code = code
        self.param = param

    @property
    def movable(self) -> bool:
        """Whether another deployment may be asked instead."""
        return self.reason in MOVABLE


class Ours(Refused):
    """A refusal for a reason of our own: nothing was made, and it says nothing against the provider.

    So it opens no circuit, and the same call asks no other deployment: another one would fare no better.
    """


class OutOfTime(Ours):
    """Understudy's own time was over before the provider had a chance. The same work may succeed later."""

    def __init__(self) -> None:
        super().__init__(Reason.UNAVAILABLE, "No time was left to ask the provider.")


class OutcomeUnknown(ProviderError):
    """The request was sent, and its outcome is unknown: a timeout, a reset, a 5xx or an unusable response.

    `timed_out` tells a late response from a broken one.
    """

    def __init__(self, message: str, *, timed_out: bool = False, retry_after: str | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.timed_out = timed_out


def from_refusal(refused: Refused) -> ApiError:
    """Return the error for the caller when a provider refused and no other deployment could take over.

    A provider's 401 is for the operator to fix, and the caller never gets it as a 401. The provider's message may quote
    the operator's key, so the message stays in the log.
    """
    retry = {"retry-after": refused.retry_after} if refused.retry_after else {}
    if isinstance(refused, OutOfTime):
        message = "The time for this request ended before the provider could be asked. Nothing was created. Try again."
        return TimedOut(message, code="out_of_time")
    if isinstance(refused, Ours):
        return ApiError(f"{refused.message} Nothing was created. Try again.")
    match refused.reason:
        case Reason.MODERATION:
            return InvalidRequest(refused.message, param=refused.param, code=refused.code or "moderation_blocked")
        case Reason.INVALID:
            return InvalidRequest(refused.message, param=refused.param, code=refused.code or "invalid_value")
        case Reason.NOT_FOUND:
            return NotFound("The provider no longer has this object.", param=refused.param)
        case Reason.LOST:
            return ProviderFailed(
                "The provider lost a character, and creating it there again failed. Nothing was created.",
                code="character_lost",
                headers=NO_RETRY,
            )
        case Reason.BUSY:
            return RateLimited("The provider is at its rate limit. Try again later.", headers=retry)
        case Reason.UNAVAILABLE:
            return Unavailable("The provider cannot be reached. Nothing was created. Try again.", headers=retry)
        case Reason.CREDENTIALS:
            return ProviderFailed(
                "The provider rejected this gateway's credentials. Nothing was created. "
                "The operator of the gateway has to renew them.",
                code="provider_credentials",
                headers=NO_RETRY,
            )
        case Reason.ARREARS:
            return ProviderFailed(
                "The gateway's account at the provider cannot pay for this video. Nothing was created. "
                "The operator of the gateway has to settle that account.",
                code="provider_arrears",
                headers=NO_RETRY,
            )
        case Reason.GONE:
            return ProviderFailed(
                "The provider no longer serves this model. Nothing was created. Use another model.",
                code="provider_model_gone",
                headers=NO_RETRY,
            )


def from_unknown(unknown: OutcomeUnknown) -> ApiError:
    """Return the error for the caller when a paid request got no usable answer. A retry could be billed again."""
    message = (
        "The request was sent and the provider's answer was lost, so the video may exist and may be billed. "
        "Understudy did not send it again. Check GET /v1/videos before you send this request again."
    )
    kind = TimedOut if unknown.timed_out else ProviderFailed
    return kind(message, code="outcome_unknown", headers=NO_RETRY)
