"""The gateway as `understudy smoke` calls it: each call is in the transcript, and a video is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from understudy_cli.transcript import Transcript

PACE_SECONDS = 2.0  # between two polls, if the gateway does not say
LEAST_PACE_SECONDS = 0.2
PATIENCE_SECONDS = 1800
TRIES = 5  # of a poll: a lost answer must not lose a video that was paid for
CHUNK = 256 * 1024

Json = dict[str, Any]


class CallFailed(Exception):
    """A call failed. `code` is the gateway's, such as "unsupported_operation"; '' if there is none."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Gateway:
    """The calls of one step after another. `step` names the current one in the transcript."""

    def __init__(self, base_url: str, key: str, transcript: Transcript) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=60)
        self._transcript = transcript
        self._pace = PACE_SECONDS
        self.step = ""

    def call(self, method: str, path: str, shown: str = "", **body: Any) -> Json:
        """Call the gateway and return the answer. `shown` replaces the path in the transcript.

        Raises CallFailed with the error's message and x-request-id.
        """
        answer = self._answer(method, path, shown, **body)
        try:
            return dict(answer.json())
        except (ValueError, TypeError) as error:
            raise CallFailed(f"{answer.url} did not answer with a JSON object. Check the base URL.") from error

    def finished(self, video: Json, tell: Callable[[str], None]) -> Json:
        """Poll until the video is completed, and return it. Raises CallFailed.

        `tell` gets the state after each poll.
        """
        began, path = time.monotonic(), f"/videos/{video['id']}"
        troubles = 0
        while time.monotonic() - began < PATIENCE_SECONDS:
            time.sleep(self._pace)
            try:
                answer = self._answer("GET", path, "/videos/ID")
            except CallFailed as error:
                troubles += 1
                if troubles == TRIES or error.code.endswith("_not_found"):
                    raise
            else:
                troubles, video = 0, dict(answer.json())
                tell(f"{video['status']}, {video.get('progress') or 0} %, {time.monotonic() - began:.0f} s")
                if video["status"] == "completed":
                    return video
                if video["status"] == "failed":
                    reason = video.get("error") or {}
                    message = _message(reason.get("message", "The video failed."), answer)
                    raise CallFailed(message, reason.get("code") or "")
        raise CallFailed(
            f"The video is still {video['status']} after {PATIENCE_SECONDS // 60} minutes. "
            f"GET /v1/videos/{video['id']} says when it is done."
        )

    def download(self, video_id: str, file: Path) -> int:
        """Download a video into the file and return its bytes. Raises CallFailed if it is no MP4.

        The API key is not sent to the address that the gateway redirects to.
        """
        redirect = self._answer("GET", f"/videos/{video_id}/content", "/videos/ID/content", wanted=302)
        began, address = time.monotonic(), redirect.headers["location"]
        try:
            with httpx.Client(timeout=60) as bucket, bucket.stream("GET", address) as answer:
                if answer.status_code != 200:
                    raise CallFailed(f"The bucket answered {answer.status_code} to the presigned URL.")
                with file.open("wb") as opened:
                    for chunk in answer.iter_bytes(CHUNK):
                        opened.write(chunk)
        except httpx.HTTPError as error:
            raise CallFailed(f"The download failed: {_words(error)}.") from error
        count = file.stat().st_size
        url = httpx.URL(address)
        where = f"GET {url.scheme}://{url.host}/..."
        self._transcript.add(self.step, where, "200", time.monotonic() - began, "", f"{count} bytes")
        with file.open("rb") as opened:
            if opened.read(12)[4:8] != b"ftyp":
                raise CallFailed(f"The downloaded file is not an MP4: {file}.")
        return count

    def _answer(self, method: str, path: str, shown: str = "", *, wanted: int = 200, **body: Any) -> httpx.Response:
        began, shown = time.monotonic(), f"{method} {shown or path}"
        try:
            answer = self._http.request(method, path, **body)
        except httpx.HTTPError as error:
            message = f"{shown} got no answer from {self._http.base_url}: {_words(error)}."
            if method == "POST":
                message += " The order may have arrived. Look at GET /v1/videos before you repeat it."
            self._transcript.add(self.step, shown, "no answer", time.monotonic() - began, "", _words(error))
            raise CallFailed(message) from error
        if (pace := answer.headers.get("openai-poll-after-ms", "")).isdecimal():
            self._pace = max(int(pace) / 1000, LEAST_PACE_SECONDS)
        refusal = {} if answer.status_code == wanted else _error(answer)
        self._transcript.add(
            self.step,
            shown,
            str(answer.status_code),
            time.monotonic() - began,
            answer.headers.get("x-request-id", ""),
            refusal.get("message") or _outline(answer, named=method == "POST"),
        )
        if refusal:
            raise CallFailed(_message(f"{answer.status_code}: {refusal['message']}", answer), refusal.get("code") or "")
        return answer


def _message(text: str, answer: httpx.Response) -> str:
    return f"{text} (x-request-id: {answer.headers.get('x-request-id', 'none')})"


def _words(error: httpx.HTTPError) -> str:
    """Return what went wrong. Some errors of httpx have no text."""
    return str(error) or type(error).__name__


def _error(answer: httpx.Response) -> Json:
    """Return the error of an answer, always with a message."""
    try:
        error = dict(answer.json()["error"])
        return error | {"message": str(error["message"])}
    except (ValueError, KeyError, TypeError):
        return {"message": answer.text[:200] or "The answer is empty."}


def _outline(answer: httpx.Response, *, named: bool) -> str:
    """Return what the transcript says of an answer that is no error: state of the thing and, if `named`, its id."""
    try:
        body = answer.json()
    except ValueError:
        return ""
    names = ("id", "status", "progress") if named else ("status", "progress")
    return " ".join(str(body[name]) for name in names if body.get(name) is not None)
