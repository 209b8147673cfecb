"""The videos of a simulated server: what was ordered, how far it is, and the file it becomes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import threading
import time
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
    """One video. Files are named by their vault keys, so that the state folder may be moved.

    `seconds` is the length of the new part, `source_seconds` what an extension puts before it; `created` is simulated
    time, `created_at` and `completed_at` are unix seconds. `roles` are pairs of name and vault key.
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
    """All jobs of one server. States follow the clock alone; a file is rendered once somebody polls its job.

    So a video that nobody waits for costs nothing, and one that is fetched early makes its download wait for a moment.
    """

    def __init__(self, store: Store, vault: Vault, folder: Path, clock: Clock, settings: JobSettings) -> None:
        self._store, self._vault, self._clock = store, vault, clock
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self._lock = threading.RLock()
        self._jobs = {job.id: job for job in (Job(**document) for document in store.load("job"))}
        self._clock.advance_to(max((job.created for job in self._jobs.values()), default=0.0))
        # One renderer: two of them would only take the machine's second core from whoever waits for the first.
        self._renderer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="render")
        self._renders: dict[str, Future[Path]] = {}

    def add(self, job: Job) -> Job:
        """Files the job. Returns it as it is at this instant, for the answer: queued, however slow the answer is."""
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
        """The jobs of an account (None: of all, deleted ones too), oldest first."""
        with self._lock:
            jobs = list(self._jobs.values())
        return [job for job in jobs if account is None or (job.account == account and not job.deleted)]

    def delete(self, job: Job) -> None:
        """The job is gone for its account; what was made from it stays whole."""
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
        """Status and progress now."""
        if job.created == math.inf:
            return "queued", 0
        with self._lock:
            fate = triggers.fate(job.prompt)
            run = self.settings.run_seconds * triggers.slowness(job.prompt)
            part = (self._clock.now() - job.created - self.settings.queued_seconds) / run if run else 1.0
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
        """Has the file of a job that will have one rendered in the background."""
        if triggers.fate(job.prompt) == "completed":
            self._begin(job)

    def video(self, job: Job) -> Path:
        """The finished file; waits for it to be rendered. Raises footage.UnreadableMedia."""
        return self._begin(job).result()

    def variant(self, job: Job, name: str) -> Path:
        """The thumbnail (WebP) or spritesheet (JPEG) of a finished job."""
        make, ending = (render.thumbnail, "webp") if name == "thumbnail" else (render.spritesheet, "jpg")
        video = self.video(job)
        path = video.with_suffix(f".{ending}")
        with self._lock:
            return path if path.exists() else make(video, path)

    def _save(self, job: Job) -> None:
        self._store.put("job", job.id, dataclasses.asdict(job))

    def _digest(self, job: Job) -> str:
        """Equal for jobs whose files are equal: two hundred orders of one video are drawn once."""
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
