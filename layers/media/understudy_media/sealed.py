"""What both sealed functions do around their work: a time limit, a child process, an answer and a line in the log."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import av.error
from botocore.exceptions import BotoCoreError, ClientError

from understudy_media import child
from understudy_media.limits import MIB, Deadline
from understudy_media.refusal import Refusal, damaged
from understudy_media.storage import MediaStore, storage_refusal

Task = Callable[[MediaStore, Deadline], dict[str, object]]

# Seconds before the function's own end: work stops by itself, then the child is killed, then the answer is sent.
_SOFT_MARGIN = 3.0
_HARD_MARGIN = 1.0
# Memory of the function that the child cannot have: its parent, and the libraries' code.
_RESERVED_BYTES = 192 * MIB


class Context(Protocol):
    """The part of the Lambda context that is used."""

    @property
    def aws_request_id(self) -> str: ...
    def get_remaining_time_in_millis(self) -> int: ...


def answer(function: str, task: Task, event: dict[str, Any], context: Context) -> dict[str, object]:
    """Run `task` in a child process, and return its result with "ok": true, or {"ok": false, "code", "message"}.

    An exception of the task becomes an answer, too. Writes one line of JSON to the log, with the traceback if the fault
    is ours.
    """
    begun = time.monotonic()
    seconds = context.get_remaining_time_in_millis() / 1000
    log: dict[str, object] = {}
    result: dict[str, object]
    try:
        store = MediaStore.from_environment()
        outcome = child.run(
            lambda: _outcome(task, store, Deadline(seconds - _SOFT_MARGIN)),
            seconds=seconds - _HARD_MARGIN,
            memory_bytes=_child_memory(),
        )
        result, log = outcome["answer"], outcome["log"]
    except child.ChildTimeout:
        message = "The video takes too long to process. Send a shorter or smaller video."
        result = Refusal("timed_out", message).as_answer()
    except child.ChildDied:
        result = damaged().as_answer()
        log = {"child_died": True}
    except Exception:  # noqa: BLE001 - servers differ in what they do with an unhandled error
        result = Refusal("internal_error", "The video could not be processed. Try again later.").as_answer()
        log = {"error": traceback.format_exc()}
    entry = {
        "level": "ERROR" if "error" in log else "INFO",
        "message": f"{function} done" if result["ok"] else f"{function} refused",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "service": os.environ.get("POWERTOOLS_SERVICE_NAME", "understudy"),
        "function_request_id": context.aws_request_id,
        "milliseconds": round((time.monotonic() - begun) * 1000),
        "event": event,
        "code": result.get("code"),
        **log,
    }
    sys.stdout.write(json.dumps(entry, default=str) + "\n")
    sys.stdout.flush()
    return result


def _outcome(task: Task, store: MediaStore, deadline: Deadline) -> dict[str, object]:
    log: dict[str, object] = {}
    try:
        result = {"ok": True, **task(store, deadline)}
    except Refusal as refusal:
        result = refusal.as_answer()
    except (ClientError, BotoCoreError) as error:
        result = storage_refusal(error).as_answer()
        log["storage"] = str(error)
    except av.error.FFmpegError as error:
        result = damaged().as_answer()
        log["ffmpeg"] = str(error)
    except MemoryError:
        result = Refusal("too_large", "The video needs too much memory to decode. Scale it down.").as_answer()
    except Exception:  # noqa: BLE001 - strangers' files may cause any error; the log has it
        result = Refusal("internal_error", "The video could not be processed. Try again later.").as_answer()
        log["error"] = traceback.format_exc()
    return {"answer": result, "log": {**store.usage(), **log}}


def _child_memory() -> int | None:
    size = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    return max(256 * MIB, int(size) * MIB - _RESERVED_BYTES) if size else None
