"""Videos, characters and uploads as callers see them: their public ids and their public objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NotRequired

from typing_extensions import TypedDict  # pydantic, which describes these, takes no other before Python 3.12

from understudy.ids import Kind, ManagedId
from understudy.store import secrets

if TYPE_CHECKING:
    from understudy.characters.character import Character
    from understudy.files.uploads import Upload
    from understudy.jobs.job import Job


class Error(TypedDict):
    code: str
    message: str


class Video(TypedDict):
    """OpenAI's Video (openapi.yaml, 2026-08-21)."""

    id: str
    object: str
    model: str
    status: str
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None
    prompt: str | None
    size: str
    seconds: str
    remixed_from_video_id: str | None
    error: Error | None


class CharacterObject(TypedDict):
    """OpenAI's Character."""

    id: str
    object: str
    name: str
    created_at: int


def video_id(job: Job) -> str:
    """Return the job's public id. It stays the same from the first response on, whatever happens to the job."""
    provider, model_id, original = job.named or (job.provider, job.deployment, job.id)
    return secrets.id_codec().encode(
        ManagedId(Kind.VIDEO, job.id, provider, model_id, original), team=job.team, key_id=job.signed_with
    )


def video(job: Job, *, created: bool = False) -> Video:
    """Return a job as OpenAI's Video; if `created`, as the create call shows it, also when that call is retried."""
    return {
        "id": video_id(job),
        "object": "video",
        "model": job.model,
        "status": "queued" if created else job.status,
        "progress": 0 if created else job.progress,
        "created_at": job.created_at,
        "completed_at": None if created else job.completed_at,
        "expires_at": None,
        "prompt": job.prompt or None,  # unknown for an adopted video
        "size": job.size or "",
        "seconds": str(job.seconds or ""),
        "remixed_from_video_id": job.remixed_from,
        "error": None if created or job.error is None else Error(code=job.error["code"], message=job.error["message"]),
    }


def character_id(character: Character) -> str:
    """Return the character's public id."""
    managed = ManagedId(Kind.CHARACTER, character.id, character.provider, character.home, character.original)
    return secrets.id_codec().encode(managed, team=character.team, key_id=character.signed_with)


def character(character: Character) -> CharacterObject:
    """Return a character as OpenAI shows it."""
    return {
        "id": character_id(character),
        "object": "character",
        "name": character.name,
        "created_at": character.created_at,
    }


class UploadObject(TypedDict):
    """An upload. `upload` says how to send the bytes, and only the response to the create call has it."""

    id: str
    object: str
    status: str
    purpose: str
    filename: str
    bytes: int
    mime_type: str
    created_at: int
    expires_at: int
    character: CharacterObject | None
    error: Error | None
    upload: NotRequired[dict[str, Any]]


class UploadParts(TypedDict):
    """Where to send parts, and the parts that have arrived."""

    id: str
    object: str
    part_size: int
    part_count: int
    parts: list[dict[str, Any]]
    arrived: list[dict[str, Any]]


def upload_id(upload: Upload) -> str:
    """Return the upload's public id. It names no deployment, because an upload belongs to none."""
    managed = ManagedId(Kind.UPLOAD, upload.id, "understudy", "", upload.id)
    return secrets.id_codec().encode(managed, team=upload.team, key_id=upload.signed_with)


def upload(upload: Upload, made: Character | None = None) -> UploadObject:
    """Return an upload as its owner sees it, with the character that was made from it."""
    error = upload.failure
    return {
        "id": upload_id(upload),
        "object": "video.upload",
        "status": upload.status,
        "purpose": upload.purpose,
        "filename": upload.filename,
        "bytes": upload.byte_count,
        "mime_type": upload.mime_type,
        "created_at": upload.created_at,
        "expires_at": upload.expires_at,
        "character": character(made) if made else None,
        "error": Error(code=error["code"], message=error["message"]) if error else None,
    }
