"""`make demo`: makes a character from a clip, a video with the character, an edit and an extension.

The demo starts the local stack if none runs, and stops that stack afterwards. Like any client, the demo uses only the
base URL and the API key.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import av
import httpx

from local.settings import ROOT, Settings
from local.simulators.shared.render import sample_clip
from local.stack import lifecycle

FOLDER = ROOT / "demo"
PATIENCE_SECONDS = 120


class Studio:
    """The calls of the demo. Each step prints the seconds since the start."""

    def __init__(self, base_url: str, key: str) -> None:
        self._http = httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._started:6.1f} s  {text}", flush=True)

    def upload_character(self, clip: Path, name: str) -> dict[str, Any]:
        """Upload a clip with a presigned POST to the bucket, and wait until S3's event has made the character."""
        wanted = {
            "purpose": "character",
            "filename": clip.name,
            "bytes": clip.stat().st_size,
            "mime_type": "video/mp4",
            "name": name,
        }
        upload = self._json("POST", "/videos/uploads", json=wanted)
        self.say(f"upload created   {_short(upload['id'])}")
        how = upload["upload"]
        with clip.open("rb") as file:
            httpx.post(how["url"], data=how["fields"], files={"file": file}, timeout=60).raise_for_status()
        self.say(f"clip uploaded    {clip.stat().st_size:,} bytes of {clip.relative_to(ROOT)}")
        done = self._wait(f"/videos/uploads/{upload['id']}", "upload")
        character: dict[str, Any] = done["character"]
        self.say(f"character made   {character['name']}: {_short(character['id'])}")
        return character

    def make(self, what: str, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], Path]:
        """Make a video, wait for it and download it. Return the video and its file."""
        video = self._json("POST", path, json=body)
        self.say(f"{what:<16} {_short(video['id'])} is {video['status']}")
        video = self._wait(f"/videos/{video['id']}", what)
        file = self._download(video["id"], "video", FOLDER / f"{what}.mp4")
        self._download(video["id"], "thumbnail", FOLDER / f"{what}.webp")
        self.say(f"{what:<16} {file.relative_to(ROOT)}: {_facts(file)}")
        return video, file

    def read_character(self, character_id: str) -> None:
        character = self._json("GET", f"/videos/characters/{character_id}")
        self.say(f"character read   {character['name']}, made at {character['created_at']}")

    def _wait(self, path: str, what: str) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            thing = self._json("GET", path)
            if thing["status"] == "completed":
                return thing
            if thing["status"] in {"failed", "expired"}:
                raise SystemExit(f"{what} {thing['status']}: {thing['error']}")
            time.sleep(0.5)
        raise SystemExit(f"{what} was not finished after {PATIENCE_SECONDS} s")

    def _download(self, video_id: str, variant: str, target: Path) -> Path:
        url = f"/videos/{video_id}/content"
        with self._http.stream("GET", url, params={"variant": variant}, follow_redirects=True) as answer:
            answer.raise_for_status()
            with target.open("wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)
        return target

    def _json(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = self._http.request(method, path, **body)
        if answer.is_error:
            raise SystemExit(f"{method} {path} answered {answer.status_code}: {answer.text}")
        return dict(answer.json())


def main() -> None:
    """Run the demo on the local stack at PORT."""
    settings = Settings.from_environment()
    runs_already = lifecycle.runs(settings)
    lifecycle.up(settings)
    try:
        _play(Studio(settings.base_url, lifecycle.key(settings)))
    finally:
        if not runs_already:
            lifecycle.down(settings)


def _play(studio: Studio) -> None:
    FOLDER.mkdir(exist_ok=True)
    clip = sample_clip(FOLDER / "luna.mp4", 3, (1280, 720), "Luna")
    luna = studio.upload_character(clip, "Luna")
    video, _ = studio.make(
        "video",
        "/videos",
        {
            "model": "sora-2",
            "prompt": "Luna dances through a magical forest.",
            "characters": [{"id": luna["id"]}],
            "seconds": "4",
            "size": "1280x720",
        },
    )
    studio.read_character(luna["id"])
    source = {"id": video["id"]}
    studio.make("edit", "/videos/edits", {"video": source, "prompt": "Add warm golden lighting"})
    studio.make("extension", "/videos/extensions", {"video": source, "prompt": "Luna waves goodbye", "seconds": "4"})
    print(f"\nReal MP4 files, to be played: {FOLDER}", flush=True)


def _short(public_id: str) -> str:
    return f"{public_id[:24]}..." if len(public_id) > 27 else public_id


def _facts(file: Path) -> str:
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        seconds = (container.duration or 0) / av.time_base
        return f"{stream.width}x{stream.height}, {seconds:.1f} s, {file.stat().st_size:,} bytes"


if __name__ == "__main__":
    main()
