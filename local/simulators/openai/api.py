"""OpenAI's Videos API as documented, for the flavours openai and azure."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterable
from email.message import Message
from pathlib import Path
from typing import Any

from local.simulators.openai import forms, rules
from local.simulators.openai.characters import Cast, Character
from local.simulators.openai.present import error_envelope, page, video_document
from local.simulators.openai.settings import Flavour, Settings
from local.simulators.shared import triggers
from local.simulators.shared.body import File
from local.simulators.shared.errors import Refusal
from local.simulators.shared.keyed import KeyedProvider
from local.simulators.shared.provider import Caller, Request, Response, Route
from local.simulators.shared.studio import Job


class OpenAIProvider(KeyedProvider[Settings]):
    """A simulated server with OpenAI's Videos API."""

    def __init__(self, state: Path, settings: Settings, flavour: Flavour = "openai") -> None:
        super().__init__(state, settings)
        self.flavour = flavour
        self.cast = Cast(self.store)
        self.parts.append(self.cast)

    def operations(self) -> Iterable[Route]:
        return [
            Route(method, f"{prefix}{path}", operation, handler)
            for prefix in (("/openai/v1", "/v1") if self.flavour == "azure" else ("/v1",))
            for method, path, operation, handler in self.served()
        ]

    def served(self) -> list[Any]:
        """Return method, path, name and handler of every operation of this flavour."""
        served = [
            ("POST", "/videos", "create_video", self.create_video),
            ("GET", "/videos", "list_videos", self.list_videos),
            ("POST", "/videos/characters", "create_character", self.create_character),
            ("GET", "/videos/characters/{id}", "get_character", self.get_character),
            ("POST", "/videos/edits", "edit_video", self.edit_video),
            ("POST", "/videos/extensions", "extend_video", self.extend_video),
            ("POST", "/videos/{id}/remix", "remix_video", self.remix_video),
            ("GET", "/videos/{id}/content", "get_content", self.get_content),
            ("GET", "/videos/{id}", "get_video", self.get_video),
            ("DELETE", "/videos/{id}", "delete_video", self.delete_video),
            ("GET", "/models", "list_models", self.list_models),
        ]
        return [row for row in served if self.flavour != "azure" or row[2] != "extend_video"]

    def credentials(self, headers: Message) -> Message:
        return headers

    def authorise(self, caller: Caller, headers: Message) -> str:
        if not self.settings.require_key:
            return caller.account or "local"
        return self.accounts.authorise(caller, headers)

    def no_key(self) -> Refusal:
        raise NotImplementedError("`authorise` has refused it")

    def refuse(self, refusal: Refusal) -> Response:
        return error_envelope(refusal, self.flavour)

    def facts(self, job: Job) -> dict[str, Any]:
        return {**self._present(job)}

    # Operations

    def create_video(self, request: Request) -> Response:
        fields = forms.document(request.body)
        rules.only(fields, "prompt", "model", "seconds", "size", "input_reference", "characters")
        prompt = rules.text(fields, "prompt", rules.MAX_PROMPT)
        model = self._model(fields.get("model", "sora-2"))
        seconds = int(rules.choice(fields, "seconds", rules.SECONDS, "4"))
        width, height = rules.size(fields, model)
        job_id = self._id("video_", request.account)
        job = Job(job_id, request.account, "generate", model, prompt, seconds, width, height)
        job.roles = [self._role(request.account, each, prompt) for each in rules.character_ids(fields)]
        triggers.moderate(prompt, rules.blocked("prompt"))
        if "input_reference" in fields:
            job.first_frame = self.inputs.reference(fields["input_reference"], width, height)
        return self._start(request, job)

    def remix_video(self, request: Request) -> Response:
        fields = forms.document(request.body)
        rules.only(fields, "prompt")
        prompt = rules.text(fields, "prompt", rules.MAX_PROMPT)
        triggers.moderate(prompt, rules.blocked("prompt"))
        job = self._derived(request, "remix", prompt, self._finished(request.account, request.params["id"]))
        job.remixed_from = job.source_job
        return self._start(request, job)

    def edit_video(self, request: Request) -> Response:
        fields = forms.document(request.body)
        source = rules.video_source(fields)
        # The model is that of the source. Only a file needs the field `model`, which the schema does not have.
        rules.only(fields, "prompt", "video", *(["model"] if isinstance(source, File) else []))
        prompt = rules.text(fields, "prompt", rules.MAX_PROMPT)
        triggers.moderate(prompt, rules.blocked("prompt"))
        if not isinstance(source, File):
            return self._start(request, self._derived(request, "edit", prompt, self._finished(request.account, source)))
        model = self._model(rules.text(fields, "model", 200))
        return self._start(request, self._from_file(request, "edit", prompt, model, source))

    def extend_video(self, request: Request) -> Response:
        fields = forms.document(request.body)
        source = rules.video_source(fields)
        rules.only(fields, "prompt", "video", "seconds", *(["model"] if isinstance(source, File) else []))
        prompt = rules.text(fields, "prompt", rules.MAX_PROMPT)
        seconds = int(rules.choice(fields, "seconds", tuple(map(str, self.settings.extend_seconds))))
        triggers.moderate(prompt, rules.blocked("prompt"))
        if isinstance(source, File):
            model = self._model(fields.get("model", "sora-2"))
            job = self._from_file(request, "extend", prompt, model, source)
        else:
            original = self._finished(request.account, source)
            if original.extensions >= rules.MAX_EXTENSIONS:
                raise Refusal(
                    400, f"A video can be extended {rules.MAX_EXTENSIONS} times.", "too_many_extensions", "video"
                )
            job = self._derived(request, "extend", prompt, original)
            job.extensions = original.extensions + 1
        job.source_seconds, job.seconds = job.seconds, seconds
        if job.total_seconds > rules.MAX_TOTAL_SECONDS:
            message = (
                f"The extended video would be {job.total_seconds} s long; the limit is {rules.MAX_TOTAL_SECONDS} s."
            )
            raise Refusal(400, message, "video_too_long", "seconds")
        return self._start(request, job)

    def get_video(self, request: Request) -> Response:
        after = self.settings.poll_after_ms
        headers = {"openai-poll-after-ms": str(after)} if after is not None else {}
        job = self._job(request.account, request.params["id"])
        self.studio.prepare(job)
        return Response.of(self._present(job), headers=headers)

    def list_videos(self, request: Request) -> Response:
        jobs = page(self.studio.list(request.account), request.query)
        return Response.of({**jobs, "data": [self._present(job) for job in jobs["data"]]})

    def delete_video(self, request: Request) -> Response:
        job = self._job(request.account, request.params["id"])
        if self.studio.status(job)[0] not in ("completed", "failed"):
            raise Refusal(400, "Only completed or failed videos can be deleted.", "video_not_finished")
        self.studio.delete(job)
        return Response.of({"id": job.id, "object": "video.deleted", "deleted": True})

    def get_content(self, request: Request) -> Response:
        job = self._job(request.account, request.params["id"])
        variant = request.query.get("variant", "video")
        types = {"video": "video/mp4", "thumbnail": "image/webp", "spritesheet": "image/jpeg"}
        if variant not in types or (variant != "video" and not self.settings.variants):
            raise Refusal(400, f"Invalid value: '{variant}' is not available.", "invalid_value", "variant")
        status = self.studio.status(job)[0]
        if status != "completed":
            state = "could not be generated" if status == "failed" else "is not ready yet"
            raise Refusal(self.settings.unfinished_status, f"The video {state}.", "video_not_ready")
        if (job.completed_at or 0) + self.settings.expires_after <= time.time():
            raise Refusal(404, "The content of this video has expired.", "content_expired")
        path = self.studio.video(job) if variant == "video" else self.studio.variant(job, variant)
        return Response(200, path, {"Content-Type": types[variant]})

    def create_character(self, request: Request) -> Response:
        if request.body.kind != "multipart":
            raise Refusal(415, "The body must be multipart/form-data.", "unsupported_content_type")
        fields = forms.document(request.body)
        rules.only(fields, "name", "video")
        name = rules.text(fields, "name", rules.MAX_NAME)
        upload = rules.file(fields, "video")
        triggers.moderate(name, rules.blocked("name"))
        key, facts = self.inputs.video(upload, "video", self.settings.character_types)
        low, high = self.settings.character_min_seconds, self.settings.character_max_seconds
        if not low <= facts.duration <= high:
            message = f"The video is {facts.duration:.1f} s long; a character needs {low:g} to {high:g} s."
            raise Refusal(400, message, "invalid_video_duration", "video")
        character_id = self._id("char_", request.account)
        character = self.cast.add(Character(character_id, request.account, name, key))
        request.created = character.id
        return Response.of(character.present())

    def get_character(self, request: Request) -> Response:
        return Response.of(self._character(request.account, request.params["id"]).present())

    def list_models(self, request: Request) -> Response:
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "simulator"} for name in self.settings.models
        ]
        return Response.of({"object": "list", "data": models})

    # Parts of operations

    def _start(self, request: Request, job: Job) -> Response:
        ordered = self.studio.add(job)
        request.created = job.id
        return Response.of(self._present(ordered))

    def _present(self, job: Job) -> dict[str, Any]:
        return video_document(job, self.studio, self.settings)

    def _id(self, prefix: str, account: str) -> str:
        given = self.settings.ids.get(account, ())
        for one in given:
            if one.startswith(prefix):
                rest = tuple(other for other in given if other != one)
                self.configure({"ids": {**self.settings.ids, account: rest}})
                return one
        return prefix + secrets.token_hex(20) + self.settings.id_suffix

    def _model(self, name: Any) -> str:
        if not isinstance(name, str):
            raise Refusal(400, "Invalid type for 'model': expected a string.", "invalid_type", "model")
        if name in self.settings.retired and self.flavour == "azure":
            raise Refusal(410, f"The model behind the deployment '{name}' was retired.", "model_retired", "model")
        if name in self.settings.retired or (self.settings.models and name not in self.settings.models):
            code = "DeploymentNotFound" if self.flavour == "azure" else "model_not_found"
            raise Refusal(404, f"The model '{name}' does not exist or you do not have access to it.", code, "model")
        return name

    def _job(self, account: str, job_id: str) -> Job:
        job = self.studio.get(account, job_id)
        if job is None:
            raise Refusal(404, f"Video with id '{job_id}' not found.", "not_found", "video_id")
        return job

    def _finished(self, account: str, job_id: str) -> Job:
        job = self._job(account, job_id)
        if self.studio.status(job)[0] != "completed":
            raise Refusal(400, f"The video '{job_id}' is not completed.", "video_not_completed", "video")
        return job

    def _character(self, account: str, character_id: str) -> Character:
        character = self.cast.get(account, character_id)
        if character is None:
            raise Refusal(404, f"Character with id '{character_id}' not found.", "not_found", "character_id")
        return character

    def _role(self, account: str, character_id: str, prompt: str) -> tuple[str, str]:
        character = self._character(account, character_id)
        if character.name not in prompt:
            message = f"The prompt must contain the name of the character, '{character.name}'."
            raise Refusal(400, message, "character_not_in_prompt", "prompt")
        return character.name, character.clip

    def _derived(self, request: Request, operation: str, prompt: str, source: Job) -> Job:
        job = Job(
            self._id("video_", request.account),
            request.account,
            operation,
            source.model,
            prompt,
            source.total_seconds,
            source.width,
            source.height,
        )
        job.source_job = source.id
        return job

    def _from_file(self, request: Request, operation: str, prompt: str, model: str, upload: File) -> Job:
        if not self.settings.approved_uploads:
            raise Refusal(
                403, "Your organisation is not approved for uploaded videos.", "uploads_not_approved", "video"
            )
        key, facts = self.inputs.video(upload, "video")
        seconds = max(1, math.floor(facts.duration + 0.5))
        width, height = facts.width // 2 * 2, facts.height // 2 * 2  # H.264 with 4:2:0 has even sides
        job_id = self._id("video_", request.account)
        job = Job(job_id, request.account, operation, model, prompt, seconds, width, height)
        job.source_file = key
        return job
