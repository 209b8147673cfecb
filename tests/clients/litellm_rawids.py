"""Use the LiteLLM SDK with ids that the SDK and a provider returned before there was a gateway.

The test runs this program in the SDK's environment. The program makes a video and a character at the provider itself
(UPSTREAM_URL, UPSTREAM_KEY) and then uses both through BASE_URL and KEY.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import litellm  # type: ignore[import-not-found]
from litellm.types.videos.utils import (  # type: ignore[import-not-found]
    encode_character_id_with_provider,
    encode_video_id_with_provider,
    extract_original_video_id,
)

litellm.suppress_debug_info = True
sdk: Any = litellm
THERE: dict[str, Any] = {"api_base": os.environ["UPSTREAM_URL"], "api_key": os.environ["UPSTREAM_KEY"]}
HERE: dict[str, Any] = {"api_base": os.environ["BASE_URL"], "api_key": os.environ["KEY"]}
CLIP = Path(os.environ["CLIP"])


def finished(video_id: str) -> Any:
    """Wait until the video is completed or failed, and return it."""
    while (now := sdk.video_status(video_id=video_id, **HERE)).status in {"queued", "in_progress"}:
        time.sleep(0.5)
    return now


def main() -> None:
    made = sdk.video_generation(model="openai/sora-2", prompt="A heron in the reeds", seconds="4", **THERE)
    luna = sdk.video_create_character(name="Luna", video=CLIP.open("rb"), **THERE)
    seen: dict[str, Any] = {"wrapped": made.id, "raw": extract_original_video_id(made.id), "character": luna.id}

    # The SDK unwraps its own ids before it sends them, except in `characters`, where it sends them as given.
    seen["video"] = finished(made.id).model_dump()
    seen["ours"] = extract_original_video_id(seen["video"]["id"])
    seen["edit"] = finished(sdk.video_edit(video_id=made.id, prompt="dusk", **HERE).id).model_dump()
    seen["fetched"] = sdk.video_get_character(character_id=luna.id, custom_llm_provider="openai", **HERE).model_dump()
    ids = [luna.id, encode_character_id_with_provider(luna.id, "openai", "own"), seen["fetched"]["id"]]
    order: dict[str, Any] = {"model": "openai/own", "prompt": "Luna runs", "seconds": "4"}
    seen["with_her"] = [sdk.video_generation(**order, characters=[{"id": one}], **HERE).status for one in ids]
    seen["as_text"] = encode_video_id_with_provider(seen["raw"], "openai", "own")
    json.dump(seen, sys.stdout)


main()
