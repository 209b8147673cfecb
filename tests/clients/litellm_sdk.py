"""Make every call of the LiteLLM SDK for videos that docs/announcement.py leaves out.

The test runs this program in the SDK's environment. BASE_URL, KEY, CLIP and IMAGE are read from the environment. The
results go to standard output as one JSON object.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import litellm  # type: ignore[import-not-found]
from litellm.types.videos.utils import extract_original_video_id  # type: ignore[import-not-found]

litellm.suppress_debug_info = True
HERE: dict[str, Any] = {"api_base": os.environ["BASE_URL"], "api_key": os.environ["KEY"]}
CLIP, IMAGE = Path(os.environ["CLIP"]), Path(os.environ["IMAGE"])
sdk: Any = litellm


def raised(call: Callable[[], Any]) -> dict[str, Any]:
    """Return the class, text and HTTP status of the exception that the call raises."""
    try:
        call()
    except Exception as error:
        return {"class": type(error).__name__, "text": str(error), "status": getattr(error, "status_code", None)}
    return {"class": None}


def finished(video: Any) -> dict[str, Any]:
    """Wait until the video is completed or failed, and return its fields."""
    while (now := sdk.video_status(video_id=video.id, **HERE)).status in {"queued", "in_progress"}:
        time.sleep(0.5)
    return {**now.model_dump(), "ours": extract_original_video_id(now.id)}


def main() -> None:
    seen: dict[str, Any] = {"version": importlib.metadata.version("litellm")}
    luna = sdk.video_create_character(name="Luna", video=CLIP.open("rb"), **HERE)
    seen["character"] = sdk.video_get_character(character_id=luna.id, **HERE).model_dump()
    order: dict[str, Any] = {"model": "sora-2", "prompt": "Luna runs over wet stones", "seconds": "4"}
    video = sdk.video_generation(**order, size="1280x720", characters=[{"id": luna.id}], **HERE)
    pictured = sdk.video_generation(**order, size="1280x720", input_reference=IMAGE.open("rb"), **HERE)
    seen["video"] = finished(video)
    edits = [
        sdk.video_edit(video_id=video.id, prompt="dusk", **HERE),
        # A clip instead of a video: LiteLLM sends a model only if the call names one.
        sdk.video_edit(video_id="", video=CLIP.open("rb"), prompt="dusk", extra_body={"model": "sora-2"}, **HERE),
    ]
    extension = sdk.video_extension(video_id=video.id, prompt="she waves", seconds="5", **HERE)
    remix = sdk.video_remix(video_id=video.id, prompt="in the snow", **HERE)
    seen["pictured"] = finished(pictured)
    seen["edits"] = [finished(one) for one in edits]
    seen["extension"], seen["remix"] = finished(extension), finished(remix)

    # The list needs the name of the provider, and returns dicts.
    page = sdk.video_list(custom_llm_provider="openai", limit=2, order="desc", **HERE)
    following = sdk.video_list(custom_llm_provider="openai", limit=2, order="desc", after=page["last_id"], **HERE)
    seen["listed"] = [extract_original_video_id(one["id"]) for one in page["data"] + following["data"]]

    variants = {"video": None, "thumbnail": "thumbnail", "spritesheet": "spritesheet"}
    content = {
        name: sdk.video_content(video_id=video.id, variant=variant, **HERE) for name, variant in variants.items()
    }
    seen["content"] = {name: {"bytes": len(data), "head": data[:12].hex()} for name, data in content.items()}
    seen["unfinished"] = raised(lambda: sdk.video_content(video_id=os.environ["UNFINISHED"], **HERE))
    seen["unknown_model"] = raised(lambda: sdk.video_generation(model="openai/none", prompt="x", **HERE))
    json.dump(seen, sys.stdout)


main()
