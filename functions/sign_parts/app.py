"""POST /videos/uploads/{upload_id}/parts: signs the URLs of parts."""

from __future__ import annotations

from understudy import resources
from understudy.api import lookup
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.api.requests import SignParts
from understudy.errors import InvalidRequest
from understudy.files import sending


@Endpoint(
    "POST",
    "/videos/uploads/{upload_id}/parts",
    counts="touch",
    summary="Sign parts",
    body=SignParts,
    answer=resources.UploadParts,
)
def handler(call: Call) -> Response:
    """Return fresh URLs for parts, and the parts that have arrived, so that an interrupted upload can continue."""
    upload = lookup.upload(call, call.text("upload_id"))
    if upload.multipart is None:
        message = "This upload is a single POST without parts. Send the file to the URL of the upload."
        raise InvalidRequest(message, param="upload_id")
    there = sending.parts_there(upload)
    arrived = {part["part_number"] for part in there}
    wanted = call.body(SignParts).part_numbers
    if wanted is None:
        missing = [number for number in range(1, upload.part_count + 1) if number not in arrived]
        wanted = missing[: sending.SIGNED_AT_ONCE]
    if any(number > upload.part_count for number in wanted):
        raise InvalidRequest(f"part_numbers: this upload has the parts 1 to {upload.part_count}.", param="part_numbers")
    urls = [sending.sign_part(upload, number) for number in wanted]
    body = {
        "id": resources.upload_id(upload),
        "object": "video.upload.parts",
        "part_size": upload.part_size,
        "part_count": upload.part_count,
        "parts": urls,
        "arrived": there,
    }
    return Response(body)
