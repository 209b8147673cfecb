"""The videos of a simulated server: jobs, their status, and the rendered files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from local.simulators.shared import render, triggers
from local.simulators.shared.clock import Clock
from local.simulators.shared.render import Role, Scene
from local.simulators.shared.settings import JobSettings
from local.simulators.shared.store import Store, Vault


@dataclass
class Job:
    """One video. Files are stored as vault keys, so that the state folder may be moved.

    `seconds` is the length of the new part. `source_seconds` is the length of the source that an extension puts before
    the new part. `created` is simulated time; `created_at` and `completed_at` are unix seconds. `roles` are pairs of
    name and vault key.
    """

    id: str
    account: str
    operation: str
    model: str
    prompt: str
    seconds: int
    width: int
    height: int
    roles: list[tuple[str, str]] = field(default_factory=list)
    first_frame: str | None = None
    source_job: str | None = None
    source_file: str | None = None
    source_seconds: int = 0
    extensions: int = 0
    remixed_from: str | None = None
    created: float = 0.0
    created_at: int = 0
    completed_at: float | None = None
    deleted: bool = False

    @property
    def total_seconds(self) -> int:
        return self.seconds + self.source_seconds


class Studio:
    """All jobs of one server. The status of a job depends on the clock only.

    The file of a job is rendered when a client polls or downloads the job. A video that no client asks for costs
    nothing. A download right after completion may have to wait until the file is rendered.
    """

    def __init__(
        self, store: Store, vault: Vault, folder: Path, clock: Clock, settings: Callable[[], JobSettings]
    ) -> None:
        self._store, self._vault, self._clock, self._settings = store, vault, clock, settings
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._jobs = {job.id: job for job in (Job(**document) for document in store.load("job"))}
        self._clock.advance_to(max((job.created for job in self._jobs.values()), default=0.0))
        # One renderer: a second renderer would only take a core from the clients that wait for the first.
        self._renderer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="render")
        self._renders: dict[str, Future[Path]] = {}

    def add(self, job: Job) -> Job:
        """Add the job. Return a copy for the answer, which stays queued even if the answer is slow."""
        with self._lock:
            job.created, job.created_at = self._clock.now(), int(time.time())
            self._jobs[job.id] = job
            self._save(job)
        return dataclasses.replace(job, created=math.inf)

    def get(self, account: str, job_id: str) -> Job | None:
        with self._lock:
            job = self._jobs.get(job_id)
        return job if job is not None and job.account == account and not job.deleted else None

    def list(self, account: str | None = None) -> list[Job]:
        """Return the jobs of an account, oldest first. None: the jobs of all accounts, including deleted jobs."""
        with self._lock:
            jobs = list(self._jobs.values())
        return [job for job in jobs if account is None or (job.account == account and not job.deleted)]

    def delete(self, job: Job) -> None:
        """Hide the job from its account. Jobs that were derived from it keep working."""
        job.deleted = True
        self._save(job)

    def clear(self) -> None:
        with self._lock:
            for waiting in self._renders.values():
                waiting.cancel()
            self._jobs.clear()
            self._renders.clear()
            self._store.clear("job")

    def status(self, job: Job) -> tuple[str, int]:
        """Return the current status and progress (0 to 100)."""
        if job.created == math.inf:
            return "queued", 0
        with self._lock:
            fate = triggers.fate(job.prompt)
            settings = self._settings()
            run = settings.run_seconds * triggers.slowness(job.prompt)
            part = (self._clock.now() - job.created - settings.queued_seconds) / run if run else 1.0
            if job.completed_at is None:
                if part < 0:
                    return "queued", 0
                if fate == "stuck":
                    return "in_progress", min(47, int(part * 100))
                if part < (1.0 if fate == "completed" else 0.6):
                    return "in_progress", int(part * 100)
                job.completed_at = time.time()
                self._save(job)
        return ("completed", 100) if fate == "completed" else ("failed", 60)

    def prepare(self, job: Job) -> None:
        """Start to render the file of a job in the background, unless the job will fail or stick."""
        if triggers.fate(job.prompt) == "completed":
            self._begin(job)

    def video(self, job: Job) -> Path:
        """Return the finished file, after waiting until it is rendered. Raises footage.UnreadableMedia."""
        return self._begin(job).result()

    def variant(self, job: Job, name: str) -> Path:
        """Return the thumbnail (WebP) or spritesheet (JPEG) of a finished job."""
        make, ending = (render.thumbnail, "webp") if name == "thumbnail" else (render.spritesheet, "jpg")
        video = self.video(job)
        path = video.with_suffix(f".{ending}")
        with self._lock:
            return path if path.exists() else make(video, path)

    def _save(self, job: Job) -> None:
        self._store.put("job", job.id, dataclasses.asdict(job))

    def _digest(self, job: Job) -> str:
        """Return a digest that is equal for jobs with equal files, so that equal jobs are rendered only once."""
        facts = [job.operation, job.account, job.model, job.prompt, job.seconds, job.width, job.height, job.roles]
        facts += [job.first_frame, job.source_file, job.source_seconds]
        facts.append(self._digest(self._jobs[job.source_job]) if job.source_job else None)
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _begin(self, job: Job) -> Future[Path]:
        with self._lock:
            digest = self._digest(job)
            if digest not in self._renders:
                self._renders[digest] = self._renderer.submit(self._render, job)
            return self._renders[digest]

    def _render(self, job: Job) -> Path:
        path = self._folder / f"{self._digest(job)}.mp4"
        if path.exists():
            return path
        source = self._vault.path(job.source_file) if job.source_file else None
        if job.source_job:
            source = self._render(self._jobs[job.source_job])
        scene = Scene(
            job.prompt,
            job.operation,
            job.width,
            job.height,
            job.seconds,
            maker=f"{job.account}  {job.model}",
            roles=tuple(Role(name, self._vault.path(key)) for name, key in job.roles),
            first_frame=self._vault.path(job.first_frame) if job.first_frame else None,
            source=source,
            source_seconds=job.source_seconds,
        )
        return render.render_scene(scene, path)
