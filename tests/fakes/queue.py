"""The job queue in virtual time.

A message is due after its delay, becomes visible again when its work failed, and moves to the dead letters after five
receives (template.yaml). Of the uploads' queue only the delays are recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.fakes.clock import Clock
from tests.fakes.edges import Edges

VISIBILITY_SECONDS = 360
MAX_RECEIVES = 5


@dataclass
class Message:
    body: str
    due: float
    delay: int
    received: int = 0


@dataclass
class Queue:
    """Replaces the SQS client that the layer uses; `sent` keeps every message that was ever sent."""

    clock: Clock
    edges: Edges
    waiting: list[Message] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    dead: list[Message] = field(default_factory=list)
    pauses: list[int] = field(default_factory=list)  # seconds, of uploads' messages

    def send_message(self, *, QueueUrl: str, MessageBody: str, DelaySeconds: int = 0) -> dict[str, str]:
        self.edges.touch("SendMessage")
        assert QueueUrl
        assert isinstance(DelaySeconds, int)
        assert 0 <= DelaySeconds <= 900
        message = Message(MessageBody, self.clock.now + DelaySeconds, DelaySeconds)
        self.waiting.append(message)
        self.sent.append(message)
        return {}

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:
        assert QueueUrl.endswith("/u")
        assert ReceiptHandle == "r"
        self.pauses.append(VisibilityTimeout)

    def receive(self, before: float | None = None) -> Message | None:
        """Take the message that is due first and move the clock to its due time.

        Return None if no message is due before `before`.
        """
        first = min(self.waiting, key=lambda message: message.due, default=None)
        if first is None or (before is not None and first.due > before):
            return None
        self.waiting.remove(first)
        self.clock.now = max(self.clock.now, first.due)
        first.received += 1
        return first

    def give_back(self, message: Message) -> None:
        """Return a message whose work failed to the queue, or to the dead letters after the last receive."""
        if message.received >= MAX_RECEIVES:
            self.dead.append(message)
        else:
            message.due = self.clock.now + VISIBILITY_SECONDS
            self.waiting.append(message)
