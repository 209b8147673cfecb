"""Web pages cannot use the local AWS beyond what Amazon's S3 allows them, and nobody can guess root's access key.

Another host name is refused (DNS rebinding), and so is a page that calls MiniStack's own paths, which want no
credentials. The only root is the one whose key is in the environment: MiniStack also takes `test` and every account
number for root, with any signature.
"""

from __future__ import annotations

import ipaddress
import os
from typing import Any

from ministack import app as ministack  # type: ignore[import-not-found]
from ministack.core import iam_evaluator  # type: ignore[import-not-found]

HOSTS = {"localhost", "host.docker.internal"}  # the second: of functions in Docker


def is_root(access_key: str) -> bool:
    """Return whether this is the access key of root; a request without one is refused elsewhere."""
    return not access_key or access_key == os.environ["AWS_ACCESS_KEY_ID"]


def _of_a_foreign_page(path: str, headers: dict[bytes, bytes]) -> bool:
    host = headers.get(b"host", b"").decode("latin-1").rpartition(":")[0].strip("[]")
    if not (host in HOSTS or host.endswith(".localhost") or _is_address(host)):
        return True
    asks_for_own = path.startswith(("/_ministack", "/_localstack"))
    return asks_for_own and (b"origin" in headers or headers.get(b"sec-fetch-site", b"none") != b"none")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def install() -> None:
    """Refuse what only a web page sends, and know root by the key in the environment."""
    answer = ministack.app

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and _of_a_foreign_page(scope["path"], dict(scope["headers"])):
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"Web pages cannot use the local AWS.\n"})
        else:
            await answer(scope, receive, send)

    ministack.app = guarded
    iam_evaluator.is_root_access_key = is_root
