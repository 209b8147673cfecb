"""The one error that callers of the sealed functions see."""

from __future__ import annotations

from typing import Literal

Code = Literal[
    "not_a_video",  # the bytes are something else
    "unreadable",  # a video, but damaged, incomplete or in a codec that is not opened
    "no_video_stream",  # sound without pictures
    "too_long",  # more seconds than the limit
    "too_large",  # more pixels, frames or bytes than the limit
    "timed_out",  # more work than fits into the time the function has
    "invalid_request",  # the event is wrong: a field, a key outside media/, a cut outside the clip
    "not_found",  # no such object
    "storage_error",  # S3 failed; the same call may succeed later
    "internal_error",  # a fault of ours; the log has the traceback
]


class Refusal(ValueError):
    """The work was not done. `message` tells the caller what to do about it."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message

    def as_answer(self) -> dict[str, object]:
        """Return the refusal as a sealed function answers it."""
        return {"ok": False, "code": self.code, "message": self.message}


def damaged() -> Refusal:
    """Return the refusal for a file that claims to be a video and cannot be decoded."""
    return Refusal(
        "unreadable",
        "The video cannot be read: it is damaged or incomplete. Export it as MP4 (H.264) and send it again.",
    )
