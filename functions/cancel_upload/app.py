"""DELETE /videos/uploads/{upload_id}: cancels an upload."""

from __future__ import annotations

from understudy.api import lookup, responses
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.errors import NotReady
from understudy.files import uploads
from understudy.ids import Kind
from understudy.store import table


@Endpoint("DELETE", "/videos/uploads/{upload_id}", counts="touch", summary="Cancel upload", answer=responses.Deleted)
def handler(call: Call) -> Response:
    """Cancel an upload. What was already made from the upload stays."""
    upload = lookup.upload(call, call.text("upload_id"))
    busy = NotReady("This upload is still being processed. Try again in a moment.", param="upload_id")
    if upload.status == "processing":
        raise busy
    try:
        uploads.cancel(upload)
    except table.RowChanged:
        raise busy from None
    return Response(responses.deleted(Kind.UPLOAD, call.text("upload_id")))
