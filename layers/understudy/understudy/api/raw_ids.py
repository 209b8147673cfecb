"""Ids that a provider or LiteLLM issued, for keys with the scope `raw_ids:DEPLOYMENT`.

    video_xyz789, char_abc123      the provider's own, as its account knows them
    video_..., character_...       LiteLLM's: base64 of litellm:custom_llm_provider:P;model_id:M;video_id:V

A raw id names no owner. So the scope is for a provider account that belongs to one team, and the first team that sends
a raw id owns it (deployments/upstream_ids.py). The ids of what Understudy made are known already. Any other id is
adopted on its first use and gets a managed id. To adopt a character, Understudy asks the provider once, within the
request. To adopt a video, Understudy writes a job: `run_job` asks the provider, and until then the video is
in_progress.

A key with the scope for several deployments may mean any of them. Understudy asks them in the order of the deployments
file, and the first deployment that knows the id has it. A LiteLLM id leaves fewer deployments: the provider must be the
deployment's, and `model_id` must be the deployment's id or the name of one of its models, either the public name or the
provider's. LiteLLM's proxy also writes model names of its own. They match no deployment and are ignored.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from understudy.characters.character import Character
from understudy.deployments import routing, upstream_ids
from understudy.deployments.config import Deployment, deployments
from understudy.errors import ApiError, OutcomeUnknown, Refused, Unavailable, Unsupported, from_refusal
from understudy.ids import Kind, new_record, not_found, resembles, unwrap
from understudy.jobs import adopted, transitions
from understudy.jobs.job import ADOPT, Job, Named
from understudy.providers import load
from understudy.store import table
from understudy.store.secrets import id_codec

if TYPE_CHECKING:
    from understudy.api.endpoint import Call

LOOKUP_SECONDS = 8.0  # limit for asking one provider whether it knows a character
FIRST_LOOK_SECONDS = 1.0
MAX_LENGTH = 200
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9_.:=~@+-]*"
_RAW = re.compile(f"{_SEGMENT}(?:/{_SEGMENT})*")  # operation names have slashes


@dataclass(frozen=True, slots=True)
class _Asked:
    """A caller's raw id: the provider's own id, and the deployments that may know it. `model` is a hint, or ''."""

    team: str
    kind: Kind
    original: str
    deployments: list[Deployment]
    model: str = ""


def record(call: Call, text: str, kind: Kind) -> str:
    """Return the team's record for a raw id. An id that is new to Understudy is adopted, and that call is counted.

    Raises NotFound for a text that is not a raw id, for another team's id and for a character that no provider knows,
    Unsupported for a character of a provider that cannot be asked for characters, RateLimited, and the errors that keep
    a provider from answering.
    """
    asked = _read(call, text, kind)
    known = _known(asked)
    if known is not None:
        return known
    payer = call.admission.payer  # counts the call, and reads the key again
    try:
        return _adopt(asked, payer) if kind is Kind.VIDEO else _introduce(asked, call.deadline)
    except table.RowChanged:  # another call adopted the id at this moment
        known = _known(asked)
        if known is None:
            raise
        return known


def _read(call: Call, text: str, kind: Kind) -> _Asked:
    """Read a raw id from the text alone. Raises NotFound if the text is not a raw id that the key may use."""
    scoped = [one for one in deployments() if one.id in call.caller.raw_ids]
    wrapped = unwrap(text, kind)
    original = wrapped.original_id if wrapped else text
    if resembles(original) or len(original) > MAX_LENGTH or not _RAW.fullmatch(original):
        raise not_found(kind)
    if wrapped:
        scoped = [one for one in scoped if one.provider == wrapped.provider]
        if any(_has(one, wrapped.model_id) for one in deployments()):
            scoped = [one for one in scoped if _has(one, wrapped.model_id)]
    if not scoped:
        raise not_found(kind)
    return _Asked(call.caller.team, kind, original, scoped, wrapped.model_id if wrapped else "")


def _has(deployment: Deployment, name: str) -> bool:
    """Return whether LiteLLM's `model_id` means this deployment."""
    return name in {deployment.id, *deployment.models, *deployment.models.values()}


def _known(asked: _Asked) -> str | None:
    """Return the team's record for the id, or None if no team has the id. Raises NotFound if another team has it."""
    found = [upstream_ids.find(asked.kind, one.id, asked.original) for one in asked.deployments]
    if any(origin is not None and origin.team != asked.team for origin in found):
        raise not_found(asked.kind)
    return next((origin.record for origin in found if origin is not None), None)


def _adopt(asked: _Asked, payer: str) -> str:
    """Write the job for which `run_job` will ask the provider. Return its record.

    The job takes no slot and no budget, because nothing is ordered. Raises table.RowChanged if a team got the id
    meanwhile.
    """
    first = asked.deployments[0]
    model = adopted.model_name(first, asked.model, otherwise=next(iter(first.models)))
    job = Job(
        team=asked.team,
        id=new_record(),
        operation=ADOPT,
        state="running",
        model=model,
        **routing.made_at(first, model),
        prompt="",
        created_at=int(time.time()),
        late_at=routing.late_at(first, model),
        others=[one.id for one in asked.deployments],
        named=Named(first.provider, first.id, asked.original),
        upstream_id=asked.original,
        upstream_status="in_progress",
        unconfirmed=True,
        seen=True,
        signed_with=id_codec().key_id,
        payer=payer,
    )
    rows = [
        job.new_row(),
        *(upstream_ids.brought(asked.kind, one.id, asked.original, job.team, job.id) for one in asked.deployments),
    ]
    table.write_together(*rows)
    transitions.begin(job, FIRST_LOOK_SECONDS)
    return job.id


def _introduce(asked: _Asked, deadline: float) -> str:
    """Ask the deployments for the character, and store it as the first deployment that knows it describes it.

    Returns the character's record. Raises table.RowChanged if a team got the id meanwhile.
    """
    findable = [one for one in asked.deployments if _finds_characters(one)]
    if not findable:
        raise Unsupported("The provider of this character cannot look it up. Create the character here from its clip.")
    trouble: ApiError | None = None
    for deployment in findable:
        try:
            name = _name(asked.original, deployment, deadline)
        except Refused as refused:
            if refused.reason not in adopted.UNKNOWN_THERE:
                trouble = trouble or from_refusal(refused)
        except OutcomeUnknown:
            trouble = trouble or Unavailable("The provider could not be asked about this character. Try again.")
        else:
            return _keep(asked, deployment, name)
    raise trouble or not_found(asked.kind)


def _name(original: str, deployment: Deployment, deadline: float) -> str:
    from understudy.deployments.call import call_provider  # it loads the HTTP client, which no other read needs

    provider, until = load(deployment.provider), min(deadline, time.monotonic() + LOOKUP_SECONDS)
    return call_provider(deployment, until, lambda account: provider.find_character(account, original))


def _keep(asked: _Asked, deployment: Deployment, name: str) -> str:
    from understudy.characters import handles

    home = {"home": deployment.id, "provider": deployment.provider}
    character = Character.brought(asked.team, name, asked.original, **home)
    table.write_together(
        character.new_row(),
        handles.known(character, deployment, asked.original),
        upstream_ids.brought(asked.kind, deployment.id, asked.original, character.team, character.id),
    )
    return character.id


def _finds_characters(deployment: Deployment) -> bool:
    return any(routing.profile_of(deployment, model).characters.findable for model in deployment.models)
