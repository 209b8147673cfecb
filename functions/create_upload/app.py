"""POST /videos/uploads: creates an upload."""

from __future__ import annotations

from understudy import resources
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.api.requests import CreateUpload
from understudy.deployments.config import deployments
from understudy.files import sending, uploads


@Endpoint(
    "POST", "/videos/uploads", counts="touch", summary="Create upload", body=CreateUpload, answer=resources.UploadObject
)
def handler(call: Call) -> Response:
    """Create an upload for a file that is too large for a request body. The response has presigned URLs for it."""
    request = call.body(CreateUpload)
    if request.model is not None or request.purpose == "character":
        call.check_model(request.model or deployments().default_model)
    if request.model is not None:
        deployments().group(request.model)
    upload = uploads.new(
        call.caller.team,
        request.purpose,
        request.filename,
        request.mime_type,
        request.bytes,
        name=request.name.strip() if request.name else None,
        model=request.model,
    )
    return Response({**resources.upload(upload), "upload": sending.form(upload)})
