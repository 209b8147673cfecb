"""Secrets by reference: the providers' keys and the MAC key of managed ids.

In a reference, `{stack}` is the name of the stack. So two stacks in one account can use one deployments file, and each
reads its own keys.

No secret is ever in the environment or in a log line.
"""

from __future__ import annotations

import time
from functools import cache

from understudy.errors import Reason, Refused
from understudy.ids import IdCodec
from understudy.settings import settings
from understudy.store.clients import secretsmanager, ssm

CACHE_SECONDS = 60


_provider_keys: dict[str, tuple[float, str]] = {}  # by reference: when the key was read, and the key


def provider_key(reference: str | None, *, fresh: bool = False) -> str | None:
    """Return the key behind a deployment's `secret`, cached for a minute; None if the deployment has no secret.

    `fresh` bypasses the cache: after a 401 the key may just have been rotated. Raises Refused(CREDENTIALS) if the
    reference leads to nothing that could be sent as a key. The operator has to fix that; nothing was sent yet, and
    another deployment may be asked.
    """
    if reference is None:
        return None
    read_at, key = _provider_keys.get(reference, (float("-inf"), ""))
    if fresh or time.monotonic() - read_at > CACHE_SECONDS:
        key = _stored(reference)
        _provider_keys[reference] = time.monotonic(), key
    if not (key and key.isascii() and key.isprintable()):
        raise Refused(Reason.CREDENTIALS, "The gateway's key for this provider is not one line of ASCII text.")
    return key


def _stored(reference: str) -> str:
    """Return the stored text without surrounding whitespace; '' if the secret is not text.

    Raises Refused(CREDENTIALS) if the secret cannot be read.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    store, _, name = reference.replace("{stack}", settings().stack).partition(":")
    try:
        if store == "ssm":
            value = ssm().get_parameter(Name=name, WithDecryption=True)["Parameter"].get("Value")
        else:
            value = secretsmanager().get_secret_value(SecretId=name).get("SecretString")
    except (BotoCoreError, ClientError) as error:
        raise Refused(Reason.CREDENTIALS, "The gateway has no key for this provider.") from error
    return (value or "").strip()


@cache
def id_codec() -> IdCodec:
    """Return the id codec. The current MAC key is read once, at the first call.

    The other versions of the key are read only for an id that the current key did not make.
    """
    return IdCodec(_mac_key("AWSCURRENT"), others=_mac_keys)


_neighbours: tuple[float, list[bytes]] = (float("-inf"), [])


def _mac_keys() -> list[bytes]:
    """Return every valid version of the MAC key. Read at most once a minute: a forged id must not cost a call to AWS.

    The current version is read again: an environment that started before a rotation meets ids made after the rotation.
    """
    global _neighbours
    read_at, keys = _neighbours
    if time.monotonic() - read_at > CACHE_SECONDS:
        keys = [_mac_key("AWSCURRENT")]
        try:
            keys.append(_mac_key("AWSPREVIOUS"))
        except secretsmanager().exceptions.ResourceNotFoundException:
            pass  # never rotated
        _neighbours = (time.monotonic(), keys)
    return keys


def _mac_key(stage: str) -> bytes:
    answer = secretsmanager().get_secret_value(SecretId=settings().id_secret, VersionStage=stage)
    return answer["SecretString"].encode()
