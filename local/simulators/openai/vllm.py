"""A simulated self-hosted vLLM-Omni 0.30 server: create, get, list, delete, download. Create takes forms only."""

from __future__ import annotations

import json
import re
from typing import Any

from local.simulators.openai import forms, rules
from local.simulators.openai.api import OpenAIProvider
from local.simulators.shared import triggers
from local.simulators.shared.body import File
from local.simulators.shared.errors import Refusal
from local.simulators.shared.provider import Request, Response
from local.simulators.shared.studio import Job

_VIDEO_LIMIT = 50 * 1024 * 1024
_IMAGE_LIMIT = 30 * 1024 * 1024


class VllmProvider(OpenAIProvider):
    """A simulated vLLM-Omni server. Like the real server, it ignores unknown fields.

    It ignores `variant`, too: a request for a thumbnail returns the whole video.
    """

    def served(self) -> list[Any]:
        wanted = ("create_video", "list_videos", "get_video", "delete_video", "get_content", "list_models")
        return [row for row in super().served() if row[2] in wanted]

    def create_video(self, request: Request) -> Response:
        if request.body.kind != "multipart":
            raise Refusal(422, "The body must be multipart/form-data.", "unsupported_content_type")
        fields = forms.document(request.body)
        prompt = rules.text(fields, "prompt", rules.MAX_PROMPT)
        model = str(fields.get("model") or (self.settings.models or ("default",))[0])
        if self.settings.models and model not in self.settings.models:
            raise Refusal(400, f"The model '{model}' is not served here.", "model_not_found", "model")
        seconds = _matched(fields, "seconds", r"[1-9]\d{0,2}", "4")
        width, height = _matched(fields, "size", r"\d{2,4}x\d{2,4}", "1280x720").split("x")
        job = Job(
            self._id("video_gen_", request.account),
            request.account,
            "generate",
            model,
            prompt,
            int(seconds),
            _even(width),
            _even(height),
        )
        if isinstance(reference := fields.get("input_reference"), File):
            job.first_frame = self.inputs.image(reference, "input_reference")
        for field in ("image_reference", "video_reference"):
            job.roles += [(f"{field} {number}", key) for number, key in enumerate(self._references(fields, field), 1)]
        return self._start(request, job)

    def get_video(self, request: Request) -> Response:
        """Return a job. A failed job is returned with a 4xx or 5xx status, as vLLM-Omni does it."""
        job = self._job(request.account, request.params["id"])
        self.studio.prepare(job)
        document = self._present(job)
        if document["status"] != "failed":
            return Response.of(document)
        status = triggers.FAILURES[triggers.fate(job.prompt)][2]
        return Response.of({**document, "error": {**document["error"], "code": status}}, status)

    def delete_video(self, request: Request) -> Response:
        job = self._job(request.account, request.params["id"])
        self.studio.delete(job)  # in any state: deleting a running job aborts it
        return Response.of({"id": job.id, "object": "video.deleted", "deleted": True})

    def get_content(self, request: Request) -> Response:
        job = self._job(request.account, request.params["id"])
        status = self.studio.status(job)[0]
        if status != "completed":
            raise Refusal(422 if status == "failed" else 404, "The video is not there.", "video_not_ready")
        return Response(200, self.studio.video(job), {"Content-Type": "video/mp4"})

    def _references(self, fields: dict[str, Any], field: str) -> list[str]:
        """Fetch the files of a field and return their vault keys. Raises Refusal.

        The field is a JSON string: an object with a URL, or a list of such objects.
        """
        if field not in fields:
            return []
        kind = field.partition("_")[0]
        try:
            value = json.loads(fields[field])
            urls = [item[f"{kind}_url"] for item in (value if isinstance(value, list) else [value])]
        except (ValueError, KeyError, TypeError) as error:
            raise Refusal(400, f"'{field}' must be a JSON string with {kind}_url.", "invalid_value", field) from error
        if kind == "image":
            return [self.inputs.image(self.inputs.fetch(url, field, _IMAGE_LIMIT), field) for url in urls]
        return [self.inputs.video(self.inputs.fetch(url, field, _VIDEO_LIMIT), field)[0] for url in urls]


def _matched(fields: dict[str, Any], name: str, pattern: str, default: str) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise Refusal(422, f"'{name}' must match {pattern}.", "invalid_value", name)
    return value


def _even(side: str) -> int:
    return int(side) // 2 * 2
