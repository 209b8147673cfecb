"""Hooks that add to what schemathesis reads in docs/openapi.json; they run in its environment (test_schema.py)."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st

LONGEST_KEY = 255

numbers = itertools.count()

for name, types in (("CLIP", ("mp4", "quicktime", "webm")), ("IMAGE", ("png", "jpeg", "webp"))):
    real = Path(os.environ[name]).read_bytes()
    for subtype in types:
        media_type = f"{'video' if name == 'CLIP' else 'image'}/{subtype}"
        schemathesis.openapi.media_type(media_type, st.just(real) | st.binary(max_size=100))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Give each call a new Idempotency-Key, and replace the placeholder video by one that exists.

    A key that was used before would turn every other answer into a 422. schemathesis uses the simplest id as
    placeholder while it tries the boundaries of another field.
    """
    key = (case.headers or {}).get("Idempotency-Key")
    if key and len(key) <= LONGEST_KEY:
        case.headers["Idempotency-Key"] = f"call {next(numbers)}"
    if isinstance(case.body, dict) and case.body.get("video") == {"id": "0"}:
        case.body["video"] = {"id": os.environ["VIDEO"]}
