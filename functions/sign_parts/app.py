"""POST /videos/uploads/{upload_id}/parts"""

from __future__ import annotations

from understudy import resources
from understudy.api import lookup
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.api.requests import SignParts
from understudy.errors import InvalidRequest
from understudy.files import uploads


@Endpoint(
    "POST",
    "/videos/uploads/{upload_id}/parts",
    counts="touch",
    summary="Sign parts",
    body=SignParts,
    answer=resources.UploadParts,
)
def handler(call: Call) -> Response:
    """Get fresh part URLs and the list of parts that have arrived, so that a broken upload goes on where it stopped."""
    upload = lookup.upload(call, call.text("upload_id"))
    if upload.multipart is None:
        raise InvalidRequest("This upload is one POST, not parts.", param="upload_id")
    there = uploads.parts_there(upload)
    arrived = {part["part_number"] for part in there}
    wanted = call.body(SignParts).part_numbers
    if wanted is None:
        wanted = [number for number in range(1, upload.part_count + 1) if number not in arrived][
            : uploads.SIGNED_AT_ONCE
        ]
    if any(number > upload.part_count for number in wanted):
        raise InvalidRequest(f"part_numbers: this upload has {upload.part_count} parts.", param="part_numbers")
    urls = [uploads.sign_part(upload, number) for number in wanted]
    body = {
        "id": resources.upload_id(upload),
        "object": "video.upload.parts",
        "part_size": upload.part_size,
        "part_count": upload.part_count,
        "parts": urls,
        "arrived": there,
    }
    return Response(body)
