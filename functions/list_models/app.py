"""GET /models"""

from __future__ import annotations

from understudy import catalogue
from understudy.deployments import deployments
from understudy.endpoint import Answer, Call, Endpoint


@Endpoint("GET", "/models", summary="List models", answer=catalogue.ModelList)
def handler(call: Call) -> Answer:
    """List the models that the key may name, with what each can do."""
    return Answer({"object": "list", "data": catalogue.models(deployments(), call.caller)})
