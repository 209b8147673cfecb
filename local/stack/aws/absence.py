"""S3 says 403 and not 404 of an object that does not exist, unless the caller may list the bucket.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (2026-11)
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from ministack import app as ministack  # type: ignore[import-not-found]
from ministack.core import iam_evaluator, router  # type: ignore[import-not-found]

DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


def _hiding_absence(scope: Any, send: Any) -> Any:
    """Return a `send` that turns S3's 404 of an object into a 403 for a caller who may not list the bucket."""
    bucket, _, key = scope["path"].lstrip("/").partition("/")
    if scope["method"] not in {"GET", "HEAD"} or not key:
        return send
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    query = parse_qs(scope["query_string"].decode("latin-1"))
    signed = headers.get("authorization", "") + "".join(query.get("X-Amz-Credential", []))
    if "/s3/aws4_request" not in signed or "uploadId" in query:  # with an uploadId, the call lists parts
        return send
    hidden = False

    async def sent(message: Any) -> None:
        nonlocal hidden
        if message["type"] == "http.response.start" and message["status"] == 404:
            hidden = not _may_list(bucket, router.extract_access_key_id(headers, query))
            if hidden:
                kept = [one for one in message["headers"] if one[0].lower() != b"content-length"]
                length = (b"content-length", b"0" if scope["method"] == "HEAD" else str(len(DENIED)).encode())
                message = {**message, "status": 403, "headers": [*kept, length]}
        elif hidden and message["type"] == "http.response.body":
            message = {**message, "body": b"" if scope["method"] == "HEAD" else DENIED, "more_body": False}
        await send(message)

    return sent


def _may_list(bucket: str, caller: str) -> bool:
    """Return whether the owner of this access key may list the bucket."""
    arn = f"arn:aws:s3:::{bucket}"
    return iam_evaluator.enforce(caller, "s3:ListBucket", "s3", "us-east-1", resource_arn=arn) is None


def install() -> None:
    """Hide what S3 hides."""
    answer = ministack.app

    async def hiding(scope: Any, receive: Any, send: Any) -> None:
        await answer(scope, receive, _hiding_absence(scope, send) if scope["type"] == "http" else send)

    ministack.app = hiding
