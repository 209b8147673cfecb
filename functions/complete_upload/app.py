"""POST /videos/uploads/{upload_id}/complete: joins the parts of an upload."""

from __future__ import annotations

from understudy import resources
from understudy.api import lookup
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.errors import InvalidRequest
from understudy.files import sending


@Endpoint(
    "POST",
    "/videos/uploads/{upload_id}/complete",
    counts="touch",
    summary="Complete upload",
    answer=resources.UploadObject,
)
def handler(call: Call) -> Response:
    """Join the parts of an upload. They must add up to the declared bytes."""
    upload = lookup.upload(call, call.text("upload_id"))
    if upload.multipart is None:
        message = "This upload is a single POST, which completes by itself. Do not call complete."
        raise InvalidRequest(message, param="upload_id")
    sending.complete(upload)
    return Response(resources.upload(upload))
