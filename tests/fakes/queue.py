"""The job queue in virtual time: a message is due after its delay, comes back when its work failed, and dies after five
times (template.yaml). Of the uploads' queue only how long a message was put off."""

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
    """As the SQS client that the layer uses. `sent` keeps every message that was ever sent."""

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
        """The message that is due first, if it is due before then; the clock goes on to that moment."""
        first = min(self.waiting, key=lambda message: message.due, default=None)
        if first is None or (before is not None and first.due > before):
            return None
        self.waiting.remove(first)
        self.clock.now = max(self.clock.now, first.due)
        first.received += 1
        return first

    def give_back(self, message: Message) -> None:
        """Its work failed."""
        if message.received >= MAX_RECEIVES:
            self.dead.append(message)
        else:
            message.due = self.clock.now + VISIBILITY_SECONDS
            self.waiting.append(message)
