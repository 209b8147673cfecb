"""Make every call that OpenAI's Python client has for videos.

The tests run this program in the environment of each version. BASE_URL, KEY, CLIP and IMAGE are read from the
environment. The results go to standard output as one JSON object.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
from openai import OpenAI, omit

warnings.simplefilter("ignore", DeprecationWarning)  # every method tells that OpenAI's own service is gone

CLIP, IMAGE = Path(os.environ["CLIP"]), Path(os.environ["IMAGE"])
JSON = {"Content-Type": "application/json"}
PROMPT = "Luna runs over wet stones"
client = OpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["KEY"])
videos: Any = client.videos


def raised(call: Callable[[], Any]) -> dict[str, Any]:
    """Return the class, text, status, code, param and request id of the exception that the call raises."""
    try:
        call()
    except Exception as error:
        facts = {name: getattr(error, name, None) for name in ("status_code", "code", "param", "request_id")}
        return {"class": type(error).__name__, "text": str(error), **facts}
    return {"class": None}


def main() -> None:
    seen: dict[str, Any] = {"version": openai.__version__}

    # Characters: by path, by bytes (named "upload", typed application/octet-stream), by tuple.
    luna = videos.create_character(name="Luna", video=CLIP)
    by_bytes = videos.create_character(name="Luna", video=CLIP.read_bytes())
    by_tuple = videos.create_character(
        name="Luna", video=("luna.mp4", CLIP.read_bytes(), "video/mp4"), extra_body={"model": "sora-2"}
    )
    seen["characters"] = [videos.get_character(one.id).to_dict() for one in (luna, by_bytes, by_tuple)]

    # `characters` is not among the typed parameters: extra_body, as a form or as JSON.
    cast = {"characters": [{"id": luna.id}]}
    order: dict[str, Any] = {"model": "sora-2", "prompt": PROMPT, "seconds": "4", "size": "1280x720"}
    video = videos.create_and_poll(**order, extra_body=cast)
    seen["video"] = video.to_dict()
    as_json = videos.create(**order, extra_body=cast, extra_headers=JSON)
    with_image = videos.create(**order, input_reference=IMAGE)
    with_url = videos.create(**order, extra_body={"input_reference": {"image_url": os.environ["IMAGE_URL"]}})
    seen["created"] = [one.to_dict() for one in (as_json, with_image, with_url)]

    # The object form of `video` fails inside the client (3.54.0 and 2.x): extra_body, as a form or as JSON, or a file.
    seen["object_form"] = raised(lambda: videos.edit(prompt="dusk", video={"id": video.id}))
    source = {"video": {"id": video.id}}
    edits = [
        videos.edit(prompt="dusk", video=omit, extra_body=source),
        videos.edit(prompt="dusk", video=omit, extra_body=source, extra_headers=JSON),
        videos.edit(prompt="dusk", video=CLIP, extra_body={"model": "sora-2"}),
    ]
    extensions = [
        videos.extend(prompt="she waves", seconds="4", video=omit, extra_body=source),
        videos.extend(prompt="she waves", seconds="4", video=CLIP, extra_body={"model": "sora-2"}),
    ]
    remix = videos.remix(video.id, prompt="in the snow")
    seen["edits"] = [videos.poll(one.id).to_dict() for one in edits]
    seen["extensions"] = [videos.poll(one.id).to_dict() for one in extensions]
    seen["remix"] = videos.poll(remix.id).to_dict()

    listed = [one.id for one in videos.list(limit=3, order="desc")]
    seen["listed"] = len(listed)
    seen["listed_once"] = len(set(listed)) == len(listed)
    ours = [video, as_json, with_image, with_url, *edits, *extensions, remix]
    seen["all_listed"] = {one.id for one in ours} <= set(listed)

    content = {name: videos.download_content(video.id, variant=name).read() for name in ("thumbnail", "spritesheet")}
    content["video"] = videos.download_content(video.id).read()
    seen["content"] = {name: {"bytes": len(data), "head": data[:12].hex()} for name, data in content.items()}

    raw = videos.with_raw_response.retrieve(video.id)
    seen["poll_after"] = raw.headers.get("openai-poll-after-ms")
    seen["request_id"] = raw.headers.get("x-request-id")
    seen["deleted"] = videos.delete(video.id).to_dict()
    seen["gone"] = raised(lambda: videos.retrieve(video.id))
    seen["unknown_model"] = raised(lambda: videos.create(model="none", prompt="x"))
    seen["wrong_key"] = raised(lambda: client.with_options(api_key="us-wrong").videos.retrieve(video.id))
    print(json.dumps(seen))


main()
