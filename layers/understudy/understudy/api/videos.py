"""The operations that make a video, from the typed request to the job."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from understudy import resources
from understudy.api import inputs, lookup
from understudy.api.forms import FilePart
from understudy.deployments import routing
from understudy.deployments.config import Deployment, deployments, removed
from understudy.errors import InvalidRequest
from understudy.ids import new_record
from understudy.jobs import orders, submission
from understudy.jobs.attempt import Attempt
from understudy.jobs.capabilities import Wish
from understudy.jobs.job import Job
from understudy.providers.base import Operation
from understudy.store.secrets import id_codec

if TYPE_CHECKING:
    from understudy.api.endpoint import Call
    from understudy.api.requests import CreateVideo, EditVideo, ExtendVideo, Routed
    from understudy.characters.character import Character


def create(call: Call, request: CreateVideo) -> tuple[Job, bool]:
    """Create a video. Return the job, and whether an earlier attempt of this call had made it."""
    attempt = call.attempt
    if job := submission.earlier(attempt, call.deadline):
        return job, True
    cast = _cast(call, request)
    wish = Wish(
        "create",
        request.prompt,
        seconds=request.seconds,
        size=request.size,
        has_image=request.input_reference is not None,
        characters=cast,
    )
    model, asked = _routes(call, request, [character.home for character in cast])
    choices = submission.options(wish, model, asked, call.caller)
    profile = choices[0].profile.playing(cast=bool(cast))
    draft = replace(
        _draft(call, "create", model, choices[0].deployment, request.prompt),
        seconds=request.seconds or profile.default_seconds,
        size=request.size or profile.default_size,
        characters=[character.id for character in cast],
        clips=[character.milliseconds for character in cast],
    )
    draft = replace(draft, billed_seconds=draft.seconds)
    if request.input_reference is not None:
        draft = replace(draft, image=inputs.image(call, request.input_reference, draft.id))
    return submission.place(draft, choices, attempt, call.admission.limits, call.deadline)


def remake(call: Call, operation: Operation, request: EditVideo | ExtendVideo) -> tuple[Job, bool]:
    """Edit or extend one of the caller's videos, or a clip from the request or an upload.

    Returns the job, and whether an earlier attempt of this call had made it.
    """
    attempt = call.attempt
    if job := submission.earlier(attempt, call.deadline):
        return job, True
    seconds = getattr(request, "seconds", None)
    if isinstance(request.video, FilePart) or request.video.upload_id is not None:
        wish = Wish(operation, request.prompt, seconds=seconds)
        model, asked = _routes(call, request, [])
        submission.options(wish, model, asked, call.caller)  # refuse before the clip is opened
        record = new_record()
        clip, facts = inputs.clip(call, request.video, record)
        length = math.ceil(facts.milliseconds / 1000)
        wish = replace(wish, source_seconds=facts.milliseconds / 1000, source_size=f"{facts.width}x{facts.height}")
        choices = submission.options(wish, model, asked, call.caller)
        draft = replace(
            _draft(call, operation, model, choices[0].deployment, request.prompt),
            id=record,
            seconds=seconds,
            billed_seconds=seconds or length,
            source_seconds=length,
            size=wish.source_size,
            source_clip=clip,
        )
        return submission.place(draft, choices, attempt, call.admission.limits, call.deadline)
    source = lookup.source(call, request.video.id or "", "video")
    model, asked = _from_source(call, source, request.named_model, request.custom_llm_provider)
    return _from_job(call, attempt, operation, source, model, asked, request.prompt, seconds)


def remix(call: Call, public_id: str, prompt: str) -> tuple[Job, bool]:
    """Remix one of the caller's videos at the deployment that made it. Returns like `create`."""
    attempt = call.attempt
    if job := submission.earlier(attempt, call.deadline):
        return job, True
    source = lookup.source(call, public_id, "video_id")
    call.check_model(source.model)
    asked = [deployments().get(source.deployment)]
    remixed_from = resources.video_id(source)
    return _from_job(call, attempt, "remix", source, source.model, asked, prompt, None, remixed_from)


def _from_job(
    call: Call,
    attempt: Attempt[Job],
    operation: Operation,
    source: Job,
    model: str,
    asked: list[Deployment],
    prompt: str,
    seconds: int | None,
    remixed_from: str | None = None,
) -> tuple[Job, bool]:
    wish = Wish(
        operation,
        prompt,
        seconds=seconds,
        made_by=orders.maker(source),
        source_seconds=source.seconds,
        source_size=source.size,
        source_pending=not source.done,
    )
    choices = submission.options(wish, model, asked, call.caller)
    draft = replace(
        _draft(call, operation, model, choices[0].deployment, prompt),
        # An extension shows the added seconds until it is finished. An edit keeps the source's length and size.
        seconds=seconds or source.seconds,
        billed_seconds=seconds or source.seconds,
        source_seconds=source.seconds or 0,
        size=source.size,
        source=source.id,
        late_at=0 if source.done else source.late_at,
        remixed_from=remixed_from,
    )
    return submission.place(draft, choices, attempt, call.admission.limits, call.deadline)


def _from_source(call: Call, source: Job, model: str | None, provider: str | None) -> tuple[str, list[Deployment]]:
    """Return the model and the deployments for work on a video.

    Work on a video goes to the deployment that made it. If the request names a model that this deployment does not
    serve, or this deployment is no longer configured, any deployment of the model gets the clip. Raises InvalidRequest
    if neither is possible, or if `provider` is not the deployment's, and PermissionDenied for a model that the key may
    not use: which models there are is not said to it.
    """
    call.check_model(model or source.model)
    home = deployments().find(source.deployment)
    if home is not None and (model is None or model in home.models):
        if provider is not None and provider != home.provider:
            message = f"custom_llm_provider: this video was made by {home.provider!r}. Leave the field out."
            raise InvalidRequest(message, param="custom_llm_provider")
        return model or source.model, [home]
    if model is None and source.model not in deployments().models():
        raise removed(source.deployment)
    model = model or source.model
    return model, routing.candidates(deployments(), model, provider=provider)


def _cast(call: Call, request: CreateVideo) -> list[Character]:
    cast: list[Character] = []
    for i, reference in enumerate(request.characters):
        character = lookup.character(call, reference.id)
        if any(character.id == other.id for other in cast):
            raise InvalidRequest(f"characters: {character.name} is named twice.", param=f"characters[{i}]")
        cast.append(character)
    return cast


def _routes(call: Call, request: Routed, homes: list[str]) -> tuple[str, list[Deployment]]:
    """Return the named or default model, and its deployments in the order in which they are asked.

    `homes` go first. If no model is named, the default deployment follows them. Raises PermissionDenied for a model
    that the key may not use, and what `routing.candidates` raises.
    """
    model = request.named_model or deployments().default_model
    call.check_model(model)
    if request.named_model is None:
        homes = [*homes, deployments().default().id]
    return model, routing.candidates(deployments(), model, provider=request.custom_llm_provider, homes=homes)


def _draft(call: Call, operation: Operation, model: str, deployment: Deployment, prompt: str) -> Job:
    return Job(
        team=call.caller.team,
        payer=call.admission.payer,
        maker=call.caller.key_id,
        signed_with=id_codec().key_id,
        id=new_record(),
        operation=operation,
        state="submitting",
        model=model,
        **routing.made_at(deployment, model),
        prompt=prompt,
        created_at=int(time.time()),
    )
