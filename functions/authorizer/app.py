"""Lambda authorizer: finds the caller of an API key. The gateway uses the answer for the whole stage, for a minute."""

from __future__ import annotations

from typing import Any

from understudy.access import keys
from understudy.api import snapstart
from understudy.telemetry import logger

snapstart.prepare()


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Allow the stage to the caller of the key, and deny it to anybody else. A deny becomes a 401 (template.yaml)."""
    caller = keys.find(_key(event))
    stage = "/".join(event["methodArn"].split("/")[:2])
    if caller is None:
        logger.info("unknown key")
        return _policy("anonymous", "Deny", stage, {})
    return _policy(caller.key_id, "Allow", stage, caller.context())


def _key(event: dict[str, Any]) -> str:
    """Return the bearer key. A TOKEN authorizer gets only the Authorization header, a REQUEST authorizer all."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    scheme, _, key = str(event.get("authorizationToken") or headers.get("authorization") or "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _policy(principal: str, effect: str, stage: str, context: dict[str, str]) -> dict[str, Any]:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": f"{stage}/*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": principal, "policyDocument": policy, "context": context}
