"""Elements (characters): created with a delay, named by 64-bit numbers, used in videos until they are deleted."""

from __future__ import annotations

import dataclasses
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any

from local.simulators.kling import rules
from local.simulators.shared import triggers
from local.simulators.shared.clock import Clock
from local.simulators.shared.errors import Refusal
from local.simulators.shared.store import Store

_FIELDS = {
    "element_name", "element_description", "reference_type", "element_image_list", "element_video_list",
    "element_voice_id", "tag_list", "callback_url", "external_task_id",
}  # fmt: skip
_TAGS = {f"o_{number}" for number in range(101, 109)}


@dataclass
class Element:
    """An element. `picture` is the vault key of its frontal picture or its clip.

    `created` is simulated time, `created_at` unix milliseconds.
    """

    task_id: str
    element_id: int
    account: str
    name: str
    description: str
    kind: str
    picture: str
    views: int
    external_id: str | None = None
    created: float = 0.0
    created_at: int = 0
    deleted: bool = False


@dataclass(frozen=True)
class Wish:
    """A checked request for an element, made of one clip, or of a frontal picture and other pictures."""

    name: str
    description: str
    clip: str | None
    pictures: tuple[str, ...]
    external_id: str | None


def wish(document: Any) -> Wish:
    """Parse and check a request for an element. Raises Refusal."""
    fields = rules.only(document, _FIELDS, "the body")
    if fields.get("element_voice_id") or fields.get("callback_url"):
        raise Refusal(501, "The simulator has neither voices nor callbacks.", "501")
    name = rules.text(fields, "element_name", 20)
    description = rules.text(fields, "element_description", 100)
    kind = rules.choice(fields, "reference_type", ("video_refer", "image_refer"), None)
    for tag in fields.get("tag_list", []):
        if rules.only(tag, {"tag_id"}, "tag_list").get("tag_id") not in _TAGS:
            raise rules.invalid("tag_list: unknown tag_id.")
    external = rules.text(fields, "external_task_id", 128) if fields.get("external_task_id") else None
    if kind == "video_refer":
        videos = rules.only(fields.get("element_video_list"), {"refer_videos"}, "element_video_list")
        entries = videos.get("refer_videos")
        if not isinstance(entries, list) or len(entries) != 1:
            raise rules.invalid("element_video_list.refer_videos: exactly one video.")
        clip = rules.text(rules.only(entries[0], {"video_url"}, "refer_videos"), "video_url", 4000)
        return Wish(name, description, clip, (), external)
    if kind is None:
        raise rules.invalid("reference_type is required.")
    images = rules.only(fields.get("element_image_list"), {"frontal_image", "refer_images"}, "element_image_list")
    others = images.get("refer_images")
    if not isinstance(others, list) or not 1 <= len(others) <= 3:
        raise rules.invalid("element_image_list.refer_images: 1 to 3 pictures.")
    addresses = [rules.text(rules.only(one, {"image_url"}, "refer_images"), "image_url", 20_000_000) for one in others]
    return Wish(name, description, None, (rules.text(images, "frontal_image", 20_000_000), *addresses), external)


class Elements:
    """All elements of one server."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._elements = {row["task_id"]: Element(**row) for row in store.load("element")}
        self._clock.advance_to(max((each.created for each in self._elements.values()), default=0.0))

    def add(self, account: str, wish: Wish, picture: str) -> Element:
        element = Element(
            task_id=str(secrets.randbelow(10**17) + 9 * 10**17),
            element_id=secrets.randbelow(10**17) + 8 * 10**17,
            account=account,
            name=wish.name,
            description=wish.description,
            kind="video_refer" if wish.clip else "image_refer",
            picture=picture,
            views=len(wish.pictures),
            external_id=wish.external_id,
            created=self._clock.now(),
            created_at=int(time.time() * 1000),
        )
        with self._lock:
            self._elements[element.task_id] = element
        self._save(element)
        return element

    def by_task(self, account: str, task_id: str) -> Element:
        """Return the element with this task id or external id. Raises Refusal with code 1201, not the usual 1203."""
        for element in self._of(account):
            if task_id in (element.task_id, element.external_id):
                return element
        raise Refusal(400, f"Task not found by id/external id: {task_id}", "1201")

    def usable(self, account: str, element_id: str) -> Element:
        """Return an element by its id. Raises Refusal if the account has no such element or it was deleted."""
        for element in self._of(account):
            if str(element.element_id) == element_id and not element.deleted:
                return element
        raise rules.invalid(f"Element not found: {element_id}")

    def delete(self, element: Element) -> None:
        element.deleted = True
        self._save(element)

    def _of(self, account: str) -> list[Element]:
        with self._lock:
            return [element for element in self._elements.values() if element.account == account]

    def page(self, account: str) -> list[Element]:
        """Return the elements of an account, newest first."""
        return self._of(account)[::-1]

    def present(self, element: Element, seconds: float) -> dict[str, Any]:
        age = self._clock.now() - element.created
        fate = triggers.fate(element.name)
        words = {"completed": "succeed", "stuck": "processing"}
        status = "submitted" if age < seconds / 4 else "processing" if age < seconds else words.get(fate, "failed")
        document: dict[str, Any] = {
            "task_id": element.task_id,
            "task_status": status,
            "task_status_msg": "Failure to pass the risk control system" if status == "failed" else "",
            "task_info": {"external_task_id": element.external_id or ""},
            "created_at": element.created_at,
            "updated_at": int(time.time() * 1000),
        }
        if status == "succeed":
            made = {
                "element_id": element.element_id,
                "element_name": element.name,
                "element_description": element.description,
                "reference_type": element.kind,
                "owned_by": element.account,
                "status": "deleted" if element.deleted else "succeed",
            }
            document |= {"task_result": {"elements": [made]}, "final_unit_deduction": "0"}
        return document

    def clear(self) -> None:
        with self._lock:
            self._elements.clear()
        self._store.clear("element")

    def _save(self, element: Element) -> None:
        self._store.put("element", element.task_id, dataclasses.asdict(element))
