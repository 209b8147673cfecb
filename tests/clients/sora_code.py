"""A program as people wrote it for Sora: nothing in the program depends on which provider makes the videos.

OPENAI_BASE_URL and OPENAI_API_KEY are in the environment; luna.mp4 and image.png are in the working directory. The
results go to standard output as one JSON object.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openai import OpenAI

client = OpenAI()
videos: Any = client.videos


def main() -> None:
    luna = videos.create_character(name="Luna", video=Path("luna.mp4"))
    cast = {"characters": [{"id": luna.id}]}
    prompt = "Luna runs over wet stones"
    first = videos.create_and_poll(model="sora-2", prompt=prompt, seconds="8", size="1280x720", extra_body=cast)
    second = videos.create(
        model="sora-2", prompt="Rain on a tin roof", input_reference=Path("image.png"), size="1280x720"
    )
    third = videos.create(model="sora-2-pro", prompt="A quiet street", seconds="12", size="1024x1792")
    made = [first, *(videos.poll(one.id) for one in (second, third))]
    for one in made:
        videos.download_content(one.id).write_to_file(f"{one.id[-8:]}.mp4")
    thumbnail = videos.download_content(first.id, variant="thumbnail").read()
    listed = [one.id for one in videos.list(limit=3)]
    print(
        json.dumps(
            {
                "videos": [one.to_dict() for one in made],
                "files": [Path(f"{one.id[-8:]}.mp4").stat().st_size for one in made],
                "thumbnail": thumbnail[8:12].decode(),
                "listed": set(listed) == {one.id for one in made},
                "deleted": videos.delete(third.id).deleted,
            }
        )
    )


main()
