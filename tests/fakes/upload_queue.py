"""The queue of what has landed in the bucket: only the pauses that an upload's event was given are recorded."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class UploadQueue:
    """Replaces the SQS client that the layer uses."""

    pauses: list[int] = field(default_factory=list)  # seconds until the event is delivered again

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:
        assert QueueUrl.endswith("/u")
        assert ReceiptHandle == "r"
        self.pauses.append(VisibilityTimeout)
