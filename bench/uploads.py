"""`python -m bench.uploads`: memory of `ingest_upload` while clips of 20 MB to 1 GB go to a provider.

Against the running local stack (PORT). The simulator counts and hashes what arrives. Memory is the peak resident set of
the function's own process (VmHWM), each size in a fresh one; 20 MB is the baseline. /tmp is looked at before and after.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cli.upload import Api, Bar, send_form, send_parts
from local import stack
from local.settings import Settings
from local.simulators.process import Simulator
from local.simulators.render import sample_clip

MEBIBYTE = 1024 * 1024
SIZES = (20, 300, 1024)
FUNCTION = "ingest-upload"
MOST_GROWTH = 64  # MiB


def main() -> None:
    """Print the table; exit 1 when memory grew by more than it may."""
    settings = Settings.from_environment()
    api = Api(stack.url(settings), stack.key(settings))
    simulator = Simulator(settings.folder / "simulators" / "openai").attach()
    folder = Path(tempfile.mkdtemp(prefix="understudy-bench-", dir=settings.folder))
    try:
        clip = sample_clip(folder / "luna.mp4", 2, (1280, 720), "Luna")
        rows = [_measure(settings, api, simulator, _tail(clip, folder, size), f"{size} MB") for size in SIZES]
        at_end = _moov_at_end(clip, folder, SIZES[-1])
        rows.append(_measure(settings, api, simulator, at_end, f"{SIZES[-1]} MB, moov at end"))
    finally:
        shutil.rmtree(folder)
    print(f"\n{'clip':<22}{'peak MiB':>9}{'growth':>8}{'seconds':>9}{'/tmp MiB':>10}  bytes and hash at the provider")  # noqa: S108
    for name, peak, seconds, temporary, arrived in rows:
        growth = peak - rows[0][1]
        print(f"{name:<22}{peak:>9.1f}{growth:>+8.1f}{seconds:>9.1f}{temporary:>10.1f}  {arrived}")
    if max(row[1] for row in rows) - rows[0][1] > MOST_GROWTH or any(row[4] != "once, equal" for row in rows):
        sys.exit(1)


def _measure(
    settings: Settings, api: Api, simulator: Simulator, clip: Path, name: str
) -> tuple[str, float, float, float, str]:
    _end_workers(settings)
    simulator.clear_requests()
    before = _temporary()
    started = time.monotonic()
    wanted = {"purpose": "character", "name": "Luna", "filename": clip.name, "mime_type": "video/mp4"}
    upload = api.call("POST", "/videos/uploads", wanted | {"bytes": clip.stat().st_size})
    bar = Bar(name, clip.stat().st_size)
    if upload["upload"]["method"] == "POST":
        send_form(upload["upload"], clip, "video/mp4", bar)
    else:
        send_parts(api, upload["id"], clip, bar)
        api.call("POST", f"/videos/uploads/{upload['id']}/complete")
    bar.close()
    while (done := api.call("GET", f"/videos/uploads/{upload['id']}"))["status"] not in {"completed", "failed"}:
        time.sleep(0.2)
    if done["status"] == "failed" or done["error"]:
        raise SystemExit(f"{name}: {done['error']}")
    seconds = time.monotonic() - started
    arrived = _arrived(simulator.requests(operation="create_character"), clip)
    return name, max(_peaks(settings)), seconds, _temporary() - before, arrived


def _arrived(requests: list[dict[str, Any]], clip: Path) -> str:
    """How often exactly these bytes came, with a Content-Length; other people's clips do not count."""
    size = clip.stat().st_size
    with clip.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    ours = [one for one in requests if [file["bytes"] for file in one["files"]] == [size]]
    whole = all(
        one["files"][0]["sha256"] == sha256
        and "content-length" in one["headers"]
        and "transfer-encoding" not in one["headers"]
        for one in ours
    )
    return f"{'once' if len(ours) == 1 else f'{len(ours)} times'}, {'equal' if whole else 'not equal'}"


def _workers(settings: Settings) -> list[Path]:
    """The processes in which the local AWS runs the function."""
    mark = str(settings.folder / "tmp" / f"ministack-lambda-understudy-{FUNCTION}-").encode()
    return [one for one in Path("/proc").iterdir() if one.name.isdigit() and mark in _read(one / "cmdline")]


def _end_workers(settings: Settings) -> None:
    for process in _workers(settings):
        os.kill(int(process.name), signal.SIGKILL)


def _peaks(settings: Settings) -> list[float]:
    """Peak resident set of each worker, in MiB."""
    peaks = []
    for process in _workers(settings):
        lines = _read(process / "status").decode().splitlines()
        peaks += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
    return peaks


def _temporary() -> float:
    """What stands in /tmp, in MiB."""
    return sum(file.stat().st_size for file in Path("/tmp").glob("*") if file.is_file()) / MEBIBYTE  # noqa: S108


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # the process has ended meanwhile


def _tail(clip: Path, folder: Path, mebibytes: int) -> Path:
    """The clip with a `free` box behind it, of `mebibytes` in all; a sparse file."""
    target = folder / f"{mebibytes}.mp4"
    data = clip.read_bytes()
    with target.open("wb") as file:
        file.write(data)
        file.write(_free(mebibytes * MEBIBYTE - len(data)))
        file.truncate(mebibytes * MEBIBYTE)
    return target


def _moov_at_end(clip: Path, folder: Path, mebibytes: int) -> Path:
    """The clip with its index at the very end, behind a gigabyte of nothing: what cameras write."""
    target, plain = folder / f"{mebibytes}-end.mp4", folder / "end.mp4"
    import av

    with av.open(str(clip)) as source, av.open(str(plain), "w", format="mp4") as out:
        streams = {stream: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream]
                out.mux(packet)
    data = plain.read_bytes()
    moov = data.rfind(b"moov") - 4
    with target.open("wb") as file:
        file.write(data[:moov])
        file.write(_free(mebibytes * MEBIBYTE - len(data)))
        file.seek(mebibytes * MEBIBYTE - (len(data) - moov))
        file.write(data[moov:])
    return target


def _free(size: int) -> bytes:
    return (1).to_bytes(4, "big") + b"free" + size.to_bytes(8, "big")


if __name__ == "__main__":
    main()
