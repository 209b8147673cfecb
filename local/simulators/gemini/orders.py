"""Builds a job from a checked request: fetches and opens the files and adds them to the job."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from local.simulators.gemini import rules
from local.simulators.gemini.files import File, Files
from local.simulators.gemini.rules import Item, Wish
from local.simulators.gemini.settings import Settings
from local.simulators.shared import footage
from local.simulators.shared.body import File as Part
from local.simulators.shared.store import Vault
from local.simulators.shared.studio import Job

BLOCKED = "Input blocked: The prompt could not be processed."


@dataclass
class _Opened:
    """Vault keys of the files of a request; `broken` is the error that the end of the job reports."""

    images: list[str] = field(default_factory=list)
    clips: list[tuple[str, footage.VideoFacts]] = field(default_factory=list)
    broken: str | None = None


class Desk:
    """Builds the jobs of one server."""

    def __init__(self, vault: Vault, folder: Path, files: Files) -> None:
        self._vault, self._folder, self._files = vault, folder, files

    def job(self, account: str, wish: Wish, source: Job | None, settings: Settings) -> tuple[Job, str | None]:
        """Return the job of a request, and the error that its end reports instead of a video. Raises Refusal."""
        inputs = self._opened(account, wish)
        rules.tags(wish.prompt, len(inputs.images), len(inputs.clips))
        lines = rules.RESOLUTIONS[wish.resolution][0]
        wide = lines * 16 // 9
        width, height = (lines, wide) if wish.ratio == "9:16" else (wide, lines)
        interaction_id = f"v1_{secrets.token_urlsafe(24)}{settings.id_suffix}"
        operation = _operation(wish, source)
        job = Job(interaction_id, account, operation, wish.model, wish.prompt, wish.seconds or 10, width, height)
        if operation == "generate":
            self._dress(job, wish, inputs)
        elif source is not None:
            job.source_job, job.width, job.height = source.id, source.width, source.height
            self._remake(job, wish, source.total_seconds)
        elif not settings.uploads_edited:
            raise rules.invalid(BLOCKED)
        elif inputs.broken is None:
            self._remake(job, wish, self._take_source(job, wish, inputs))
        return job, inputs.broken

    def _take_source(self, job: Job, wish: Wish, inputs: _Opened) -> int:
        """Set the clip that is edited or extended. Return its length in seconds. Raises Refusal."""
        if len(inputs.clips) != 1:
            raise rules.invalid(f"Exactly one input video is required for {wish.task} task.")
        (key, facts), longest = inputs.clips[0], rules.MODELS[wish.model].source
        if not 1 <= facts.duration <= longest:
            raise rules.invalid(f"The input video is {facts.duration:.1f}s long; at most {longest:g}s.")
        job.source_file, job.width, job.height = key, facts.width // 2 * 2, facts.height // 2 * 2
        return max(1, math.floor(facts.duration + 0.5))

    def _remake(self, job: Job, wish: Wish, length: int) -> None:
        if job.operation == "edit":
            job.seconds = length
            return
        job.source_seconds, longest = length, rules.MODELS[wish.model].whole
        if job.total_seconds > longest:
            raise rules.invalid(f"The extended video would be longer than {longest}s.")

    def _opened(self, account: str, wish: Wish) -> _Opened:
        """Open every file of the request and keep it in the vault. Raises Refusal."""
        inputs = _Opened()
        for item in wish.items:
            part, broken = self._fetched(account, item, wish.background)
            inputs.broken = inputs.broken or broken
            if part is None:
                continue
            if isinstance(part, File):
                key, path = part.key or "", self._vault.path(part.key or "")
            else:
                key, path = self._vault.keep(part.path, part.sha256), self._vault.path(part.sha256)
            try:
                if footage.sniff(path) in ("png", "jpeg", "webp"):
                    footage.probe_image(path)
                    inputs.images.append(key)
                else:
                    inputs.clips.append((key, footage.probe(path)))
            except footage.UnreadableMedia as error:
                raise rules.invalid(f"The {item.kind} could not be processed: {error}.") from error
        return inputs

    def _fetched(self, account: str, item: Item, background: bool) -> tuple[Part | File | None, str | None]:
        """Return the file, or None and the error that the end of the job reports. Raises Refusal."""
        if item.data is not None:
            try:
                data = base64.b64decode(item.data, validate=True)
            except binascii.Error as error:
                raise rules.invalid("Expected string, corrupt base64.") from error
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
                file.write(data)
            return Part(Path(file.name), "", "", len(data), hashlib.sha256(data).hexdigest()), None
        uri = item.uri or ""
        if "/files/" not in uri:
            return None, f"HTTP {item.kind} input is not supported by the model"
        uploaded = self._files.usable(account, uri)
        if item.kind == "video" and background:
            return None, f"Unsupported file uri: blobstore:///{uploaded.id}"
        return uploaded, None

    def _dress(self, job: Job, wish: Wish, inputs: _Opened) -> None:
        """Set the first frame and the references, as the task or the tags in the prompt say. Raises Refusal."""
        images = list(inputs.images)
        if wish.task == "image_to_video" and not images:
            raise rules.invalid("At least one image must be provided for image_to_video task.")
        if wish.task == "reference_to_video" and not inputs.images and not inputs.clips and not inputs.broken:
            raise rules.invalid("At least one image or video must be provided for reference_to_video task.")
        if images and (wish.task == "image_to_video" or "<FIRST_FRAME>" in wish.prompt):
            job.first_frame = images.pop(0)
        if len(images) > rules.MAX_IMAGES or len(inputs.clips) > rules.MAX_CLIPS:
            raise rules.invalid(f"At most {rules.MAX_IMAGES} images and {rules.MAX_CLIPS} videos can be references.")
        for _, facts in inputs.clips:
            if facts.duration > rules.CLIP_SECONDS:
                raise rules.invalid(f"A reference video is {facts.duration:.1f}s long; at most 3s are allowed.")
        job.roles = [(f"VIDEO_REF_{n}", key) for n, (key, _) in enumerate(inputs.clips)]
        job.roles += [(f"IMAGE_REF_{n}", key) for n, key in enumerate(images)]


def _operation(wish: Wish, source: Job | None) -> str:
    """Return generate, edit or extend. Without a task, words in the prompt decide, as the real model would."""
    if wish.task in ("edit", "extend"):
        return wish.task
    words = wish.prompt.lower()
    if source is not None or "<video_0>" in words:
        return "extend" if "extend" in words or "continue" in words else "edit"
    return "generate"
