"""GET /models"""

from __future__ import annotations

from understudy.api import models as catalogue
from understudy.api.endpoint import Answer, Call, Endpoint
from understudy.deployments.config import deployments


@Endpoint("GET", "/models", summary="List models", answer=catalogue.ModelList)
def handler(call: Call) -> Answer:
    """List the models that the key may name, with what each can do."""
    return Answer({"object": "list", "data": catalogue.models(deployments(), call.caller)})
