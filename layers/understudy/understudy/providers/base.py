"""What a provider is: a profile of what its models can do, and a handful of calls.

A provider file holds one instance named `provider`. It knows nothing of AWS, of ids or of who calls: it gets an
`Account` to talk with, an `Order` to place and `Media` to send, and raises only `Refused` and `OutcomeUnknown`.
Five methods are always there; the optional ones must be there exactly when the profile claims them (a contract test
asks).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

from understudy.providers.prices import Prices

if TYPE_CHECKING:
    from understudy.providers.http import HttpClient

Operation = Literal["create", "edit", "extend", "remix"]
Status = Literal["queued", "in_progress", "completed", "failed"]
Way = Literal["native", "emulated"]


@dataclass(frozen=True, slots=True)
class CharacterSupport:
    """What a model can do with characters. Counts are per video; 0 means that this form is not taken.

    native: the provider keeps characters of its own, made from the clip.  native_slow: making one outlasts a request.
    seconds, sizes: what a video with characters may be, where that is less than one without; None: the same.
    """

    native: int = 0
    native_slow: bool = False
    reference_videos: int = 0
    reference_images: int = 0
    start_frame: bool = False
    clip_seconds: tuple[float, float] = (0.0, 600.0)  # shortest and longest clip that is taken as it is
    trim: bool = False  # a longer clip is cut to the longest before it is sent
    deletable: bool = False  # native ones can be deleted there
    findable: bool = False  # native ones can be asked for by their id
    seconds: tuple[int, ...] | None = None
    sizes: tuple[str, ...] | None = None
    beside_image: int | None = None  # how many fit in beside an `input_reference`; None: as many as without

    @property
    def most(self) -> int:
        """How many characters fit into one video."""
        return max(self.native, self.reference_videos, self.reference_images, int(self.start_frame))

    @property
    def beside(self) -> int:
        """How many of them beside an `input_reference`."""
        return self.most if self.beside_image is None else min(self.most, self.beside_image)

    def sent(self, milliseconds: int) -> int:
        """How much of a clip goes to the provider."""
        return min(milliseconds, int(self.clip_seconds[1] * 1000)) if self.trim else milliseconds

    @property
    def form(self) -> str | None:
        """How characters travel to the model, best first; None if it takes none."""
        forms = {
            "native": self.native,
            "reference_video": self.reference_videos,
            "reference_image": self.reference_images,
            "start_frame": self.start_frame,
        }
        return next((name for name, taken in forms.items() if taken), None)


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """Which clips a model edits or extends: shortest and longest in seconds, smallest and largest side in pixels, and
    how long an extended one may become, its own included."""

    seconds: tuple[float, float] = (0.0, 600.0)
    sides: tuple[int, int] = (1, 16_384)
    whole: float = 3600.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What one model at one deployment can do, in OpenAI's terms. Sizes are 'WIDTHxHEIGHT', times are in seconds."""

    seconds: tuple[int, ...]
    sizes: tuple[str, ...]
    default_seconds: int
    default_size: str
    prompt_characters: int = 32_000
    input_image: bool = True  # an `input_reference` as first frame
    characters: CharacterSupport = CharacterSupport()
    edit: bool = False  # of a video that this deployment made
    edit_upload: bool = False  # of any clip
    edit_source: SourceLimits = SourceLimits()
    extend_seconds: tuple[int, ...] = ()  # how much one extension may add; empty: cannot extend
    extend_upload: bool = False
    extend_source: SourceLimits = SourceLimits()
    source_by_clip: bool = False  # an edit or extension of its own video, too, needs the clip: `Source.clip`
    remix: bool = False
    delete: bool = False
    slow_inputs: bool = False  # files have to be uploaded there first: too slow for a request, so run_job submits
    findable: bool = False  # after a lost answer the job can be found by our reference
    poll_seconds: float = 5.0
    deadline_seconds: int = 3600  # a job older than this at the provider has failed
    kept_seconds: int | None = None  # how long a finished file stays there; None: until it is deleted, or not known
    prices: Prices = field(default_factory=Prices)

    def way(self, operation: Operation, *, own: bool) -> Way | None:
        """How the model does this to a video, `own` if the same deployment made it; None: not at all.

        emulated: an extension is a new video that begins with the last picture, joined to the source here.
        """
        native = {
            "create": True,
            "edit": self.edit if own else self.edit_upload,
            "extend": bool(self.extend_seconds) and (own or self.extend_upload),
            "remix": own and self.remix,
        }
        if native[operation]:
            return "native"
        return "emulated" if operation == "extend" and self.input_image and self.seconds else None

    def playing(self, *, cast: bool) -> Profile:
        """The profile as it is for a new video, `cast`: with characters, which may leave fewer lengths and sizes."""
        support = self.characters
        if not cast or (support.seconds is None and support.sizes is None):
            return self
        seconds = tuple(one for one in self.seconds if support.seconds is None or one in support.seconds)
        sizes = tuple(one for one in self.sizes if support.sizes is None or one in support.sizes)
        if not seconds or not sizes:  # options have left nothing of what the model makes with them
            return replace(self, characters=CharacterSupport())
        return replace(
            self,
            seconds=seconds,
            sizes=sizes,
            default_seconds=self.default_seconds if self.default_seconds in seconds else seconds[0],
            default_size=self.default_size if self.default_size in sizes else sizes[0],
        )


@dataclass(frozen=True, slots=True)
class Media:
    """A file of ours as a provider may take it: as a stream with a known size, or by a short-lived URL.

    `open` gives a seekable reader that fetches as it is read; `url` signs a GET that lives for an hour.
    """

    filename: str
    mime_type: str
    size: int
    open: Callable[[], BinaryIO]
    url: Callable[[], str]


@dataclass(frozen=True, slots=True)
class CastMember:
    """A character of an order, in exactly one of the forms that the profile takes: handle, else clip, else stills."""

    name: str
    handle: str | None = None
    clip: Media | None = None
    stills: tuple[Media, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """The video that is edited, extended or remixed: the provider's own by id, else a clip; `seconds` long."""

    upstream_id: str | None = None
    clip: Media | None = None
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """One paid request. `reference` is our job id, for providers that take an external id."""

    operation: Operation
    model: str
    prompt: str
    reference: str
    seconds: int | None = None
    size: str | None = None
    image: Media | None = None
    cast: tuple[CastMember, ...] = ()
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are at a provider: where, with which key, over which HTTP client."""

    base_url: str
    key: str | None = field(repr=False)
    http: HttpClient
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """What the provider says of a job. Unknown status words are in_progress; `error` is (code, message) when failed."""

    upstream_id: str
    status: Status
    progress: int = 0
    seconds: int | None = None
    size: str | None = None
    error: tuple[str, str] | None = None
    output_url: str | None = None
    micro_dollars: int | None = None  # what it cost, if the provider says
    model: str | None = None  # the provider's name for the model, if it says


@dataclass(frozen=True, slots=True)
class NativeCharacter:
    """A character as the provider keeps it. One that is not `ready` yet is asked for again by
    `poll_character(reference)`."""

    reference: str
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Content:
    """A file at the provider, being read: `size` in bytes when the provider says it."""

    mime_type: str
    size: int | None
    chunks: Iterator[bytes]


class Provider(ABC):
    """One provider. `name` is the file's name and appears in managed ids; `models` are listed in docs/providers.md,
    and others may be served, too."""

    name: ClassVar[str]
    models: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def profile(self, model: str, options: Mapping[str, Any]) -> Profile:
        """What `model` (the provider's name for it) can do under these deployment options."""

    @abstractmethod
    def submit(self, account: Account, order: Order) -> Progress:
        """Place a paid order once.

        Raises Refused when the provider said no and OutcomeUnknown when its answer was lost; never tries twice.
        """

    @abstractmethod
    def poll(self, account: Account, upstream_id: str) -> Progress:
        """Ask how a job is doing. Raises Refused(NOT_FOUND) for a job that is gone; other errors are passing."""

    @abstractmethod
    def open_content(self, account: Account, progress: Progress) -> AbstractContextManager[Content]:
        """Stream a finished job's video. Raises Refused(NOT_FOUND) when it is gone."""

    def make_character(self, account: Account, name: str, clip: Media, stills: tuple[Media, ...]) -> NativeCharacter:
        """Make a native character (`characters.native`). Raises like `submit`."""
        raise NotImplementedError

    def poll_character(self, account: Account, reference: str) -> NativeCharacter:
        """Ask how a character is doing (`characters.native_slow`). Raises like `poll`."""
        raise NotImplementedError

    def find_character(self, account: Account, reference: str) -> str:
        """The name of a native character that is there already (`characters.findable`). Raises like `poll`."""
        raise NotImplementedError

    def delete_character(self, account: Account, reference: str) -> None:
        """Delete a native character (`characters.deletable`); one that is gone already is fine."""
        raise NotImplementedError

    def delete(self, account: Account, upstream_id: str) -> None:
        """Delete a finished job (`delete`); one that is gone already is fine."""
        raise NotImplementedError

    def find(self, account: Account, reference: str) -> Progress | None:
        """The job that was submitted with this reference (`findable`), or None if there is none. Raises like `poll`."""
        raise NotImplementedError
