"""`python -m bench.memory [--mebibytes N]`: measures the memory of the functions that handle large files.

Each case runs twice, each time in a new sandbox: with a clip of some kilobytes, which is the baseline, and with a clip
of a gigabyte. Memory is the sum of the peak resident sets (VmHWM) of the function's process and of its largest child.
The function uses the local AWS and the simulator, which counts and hashes the received bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from bench.clips import MEBIBYTE, grow, with_index_at_end
from bench.environment import nobody_listening
from bench.figures import say
from local.lambda_ import events, functions
from local.lambda_.runtime import Sandbox, peak_memory
from local.lambda_.seed import TEAM, Seeds, wait
from local.settings import Settings
from local.simulators.process import Simulator
from local.simulators.shared.render import sample_clip
from local.stack import lifecycle
from understudy_cli.upload import Api, Bar, send_form, send_parts

GIGABYTE = 1024  # MiB
SMALL = 0  # MiB: the unchanged clip


@dataclass(frozen=True)
class Result:
    """Peak memory of a case with the small and with the large file, in 2**20 bytes; seconds for the large file."""

    small: float
    large: float
    seconds: float

    @property
    def added(self) -> float:
        return self.large - self.small


def measure(settings: Settings, mebibytes: int = GIGABYTE) -> dict[str, Result]:
    """Run all cases. Raises SystemExit if a function fails or a file does not arrive unchanged."""
    folder = Path(tempfile.mkdtemp(prefix="understudy-bench-", dir=settings.folder))
    cases: dict[str, Callable[[Bench, int], float]] = {
        "upload_to_provider": Bench.upload,
        "copy_home": Bench.copy_home,
        "inspect": Bench.inspect,
    }
    results = {}
    try:
        with nobody_listening(settings):
            bench = Bench(settings, folder)
            for name, case in cases.items():
                say(f"memory: {name}")
                small = case(bench, SMALL)
                started = time.monotonic()
                results[name] = Result(small, case(bench, mebibytes), time.monotonic() - started)
    finally:
        shutil.rmtree(folder)
    return results


class Bench:
    """The cases. Each returns the peak memory in 2**20 bytes."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._outputs: dict[str, str] = settings.facts()["outputs"]
        self._seeds = Seeds(settings)
        self._api = Api(lifecycle.url(settings), self._seeds.value("key"))
        self._simulator = Simulator(settings.folder / "simulators" / "openai").attach()
        self._kept: dict[int, str] = {}  # the keys of the clips that `upload` has stored, by size

    def upload(self, mebibytes: int) -> float:
        """Run `ingest_upload`: send a clip from the bucket to the provider, as a character."""
        clip = self._clip(mebibytes)
        size = clip.stat().st_size
        wanted = {"purpose": "character", "name": "Luna", "filename": clip.name, "mime_type": "video/mp4"}
        upload = self._api.call("POST", "/videos/uploads", {**wanted, "bytes": size})
        bar = Bar(clip.name, size)
        if upload["upload"]["method"] == "POST":
            send_form(upload["upload"], clip, "video/mp4", bar)
        else:
            send_parts(self._api, upload["id"], clip, bar)
            self._api.call("POST", f"/videos/uploads/{upload['id']}/complete")
        self._simulator.clear_requests()
        peak = self._run("ingest_upload", _event(self._message(upload["id"])))
        self._must_be_completed(f"/videos/uploads/{upload['id']}")
        self._must_have_arrived(clip)
        self._kept[mebibytes] = self._newest_clip()
        return peak

    def copy_home(self, mebibytes: int) -> float:
        """Run `run_job`: copy the file of a finished video from the provider into the bucket."""
        prompt = f"Luna runs over wet stones, take {time.time_ns()}"  # unique, so that no older film is enlarged
        video = self._seeds.call("POST", "/videos", json={"model": "sora-2", "prompt": prompt, "seconds": "4"})
        self._seeds.finished(f"/videos/{video['id']}")
        size = self._enlarged(prompt, mebibytes)
        # A copy of the job that no execution drives, so that only the measured function copies the enlarged file.
        job = self._seeds.plant("running", TEAM, video["id"])
        peak = self._run("run_job", {"team": job["team"], "video": job["video"], "begun": int(time.time())})
        self._must_be_completed(f"/videos/{job['id']}")
        if (came := self._size_of_content(job["id"])) != size:
            raise SystemExit(f"{came} of {size} bytes came home")
        return peak

    def inspect(self, mebibytes: int) -> float:
        """Run `inspect_clip` on a clip that `upload` has stored."""
        stills = "media/inputs/bench/seed/"
        return self._run("inspect_clip", {"key": self._kept[mebibytes], "stills_prefix": stills, "stills": 2})

    def _run(self, name: str, event: Any) -> float:
        with Sandbox(functions.load(self._settings, name)) as sandbox, _Children(sandbox.pid) as children:
            outcome = sandbox.invoke(event)
            own = sandbox.peak_memory
        answer = outcome.result or {}
        if not (answer.get("ok") or answer.get("done") or answer.get("batchItemFailures") == []):
            raise SystemExit(f"{name}: {outcome.error or outcome.result}\n{outcome.log}")
        assert own is not None
        return (own + children.peak) / MEBIBYTE

    def _clip(self, mebibytes: int) -> Path:
        """Make a clip of Luna with its index at the end, after a `free` box, as cameras write the index."""
        short, clip = self._folder / "short.mp4", self._folder / f"luna-{mebibytes}.mp4"
        sample_clip(short, 2, (1280, 720), "Luna")
        with_index_at_end(short, clip, mebibytes * MEBIBYTE)
        return clip

    def _newest_clip(self) -> str:
        """Return the key of the character's clip that was stored last."""
        found = self._settings.client("s3").list_objects_v2(
            Bucket=self._outputs["BucketName"], Prefix="media/characters/events/"
        )
        clips = [one for one in found["Contents"] if one["Key"].endswith("/clip")]
        return str(max(clips, key=lambda one: one["LastModified"])["Key"])

    def _message(self, upload: str) -> str:
        """Wait for the message about an upload, and take it. Other messages return to the queue."""
        sqs = self._settings.client("sqs")
        url = self._outputs["UploadQueueUrl"]
        record = self._seeds.plant("record", TEAM, "upload", upload)[1]

        def ours() -> Any:
            found = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", [])
            return [one for one in found if record in one["Body"]]

        (message,) = wait(ours, f"no message came about {upload}")
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return str(message["Body"])

    def _enlarged(self, prompt: str, mebibytes: int) -> int:
        """Enlarge the file that the provider has rendered for this prompt, and return the file's size."""
        (done,) = (one for one in self._simulator.jobs() if one["prompt"] == prompt)
        content = f"{self._simulator.base_url}/videos/{done['id']}/content"
        httpx.get(content, headers={"Authorization": f"Bearer sim-{done['account']}"}, timeout=60).raise_for_status()
        renders = self._settings.folder / "simulators" / "openai" / "renders"
        film = max(renders.glob("*.mp4"), key=lambda file: file.stat().st_mtime_ns)
        if mebibytes:
            grow(film, mebibytes * MEBIBYTE)
        return film.stat().st_size

    def _size_of_content(self, video: str) -> int:
        authorization = {"Authorization": f"Bearer {self._seeds.value('key')}"}
        redirect = httpx.get(f"{self._settings.base_url}/videos/{video}/content", headers=authorization, timeout=60)
        first = httpx.get(redirect.headers["location"], headers={"Range": "bytes=0-0"}, timeout=60)
        return int(first.headers["content-range"].rpartition("/")[2])

    def _must_be_completed(self, path: str) -> None:
        found = self._seeds.call("GET", path)
        if found["status"] != "completed" or found["error"]:
            raise SystemExit(f"{path} ended as {found}")

    def _must_have_arrived(self, clip: Path) -> None:
        """Check that the provider received exactly this clip, once, with a Content-Length. Raises SystemExit."""
        with clip.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        requests = self._simulator.requests(operation="create_character")
        if [file["sha256"] for one in requests for file in one["files"]] != [sha256]:
            raise SystemExit(f"the provider got {requests}")
        if any("transfer-encoding" in one["headers"] for one in requests):
            raise SystemExit("the provider was not told the length")


class _Children:
    """A watcher of the children of a process. `peak` is the peak memory of the largest child, in bytes."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._children = Path(f"/proc/{pid}/task/{pid}/children")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            with contextlib.suppress(OSError):
                for pid in self._children.read_text().split():
                    self.peak = max(self.peak, peak_memory(int(pid)) or 0)

    def __enter__(self) -> _Children:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()


def _event(body: str) -> dict[str, Any]:
    """Build the event that SQS makes of a message."""
    return dict(events.event({"messages": [body]}, None, dict))


def table(results: dict[str, Result]) -> str:
    """Return the figures as a table for a terminal."""
    lines = [f"{'case':<24}{'small':>8}{'large':>8}{'added':>8} MB{'seconds':>10}"]
    for name, one in results.items():
        lines.append(f"{name:<24}{one.small:>8.1f}{one.large:>8.1f}{one.added:>+8.1f}   {one.seconds:>10.1f}")
    return "\n".join(lines)


def main() -> None:
    """Run the command line: measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory")
    parser.add_argument("--mebibytes", type=int, default=GIGABYTE, help="size of the large files")
    given = parser.parse_args()
    settings = Settings.from_environment()
    lifecycle.url(settings)
    print(table(measure(settings, given.mebibytes)))


if __name__ == "__main__":
    main()
