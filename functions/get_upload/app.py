"""GET /videos/uploads/{upload_id}"""

from __future__ import annotations

from understudy import resources
from understudy.api import lookup as owned
from understudy.api.endpoint import Answer, Call, Endpoint
from understudy.characters.character import Character


@Endpoint("GET", "/videos/uploads/{upload_id}", summary="Get upload", answer=resources.UploadObject)
def handler(call: Call) -> Answer:
    """See how an upload is doing, with the character that it has become."""
    upload = owned.upload(call, call.text("upload_id"))
    made = None
    if upload.purpose == "character" and upload.state == "completed":
        made = Character.find(upload.team, upload.id)
    return Answer(resources.upload(upload, made))
