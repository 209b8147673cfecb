"""GET /videos/uploads/{upload_id}: returns an upload."""

from __future__ import annotations

from understudy import resources
from understudy.api import lookup
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.characters.character import Character


@Endpoint("GET", "/videos/uploads/{upload_id}", summary="Get upload", answer=resources.UploadObject)
def handler(call: Call) -> Response:
    """Return the status of an upload, and the character that was made from it."""
    upload = lookup.upload(call, call.text("upload_id"))
    made = None
    if upload.purpose == "character" and upload.state == "completed":
        made = Character.find(upload.team, upload.id)
    return Response(resources.upload(upload, made))
