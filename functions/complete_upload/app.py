"""POST /videos/uploads/{upload_id}/complete"""

from __future__ import annotations

from understudy import resources
from understudy.api import lookup as owned
from understudy.api.endpoint import Answer, Call, Endpoint
from understudy.errors import InvalidRequest
from understudy.files import uploads


@Endpoint(
    "POST",
    "/videos/uploads/{upload_id}/complete",
    counts="touch",
    summary="Complete upload",
    answer=resources.UploadObject,
)
def handler(call: Call) -> Answer:
    """Put the parts of an upload together, once they add up to the declared bytes."""
    upload = owned.upload(call, call.text("upload_id"))
    if upload.multipart is None:
        raise InvalidRequest("This upload is one POST; it completes itself.", param="upload_id")
    uploads.complete(upload)
    return Answer(resources.upload(upload))
