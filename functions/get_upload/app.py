"""GET /videos/uploads/{upload_id}"""

from __future__ import annotations

from understudy import resources
from understudy.api import lookup
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.characters.character import Character


@Endpoint("GET", "/videos/uploads/{upload_id}", summary="Get upload", answer=resources.UploadObject)
def handler(call: Call) -> Response:
    """See how an upload is doing, with the character that it has become."""
    upload = lookup.upload(call, call.text("upload_id"))
    made = None
    if upload.purpose == "character" and upload.state == "completed":
        made = Character.find(upload.team, upload.id)
    return Response(resources.upload(upload, made))
