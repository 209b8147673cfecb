"""GET /models: lists models."""

from __future__ import annotations

from understudy.api import models
from understudy.api.endpoint import Call, Endpoint, Response
from understudy.deployments.config import deployments


@Endpoint("GET", "/models", summary="List models", answer=models.ModelList)
def handler(call: Call) -> Response:
    """List the models that the key may use, with what each model can do."""
    return Response({"object": "list", "data": models.available(deployments(), call.caller)})
