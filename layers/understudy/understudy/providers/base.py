"""The interface of a provider: a profile of what its models can do, and a few calls.

A provider file holds one instance named `provider`. It knows nothing of AWS, managed ids or callers: it gets an
`Account` to call with, an `Order` to place and `Media` to send, and raises only `Refused` and `OutcomeUnknown`. Four
methods are required. An optional method must be there exactly if the profile claims it (a contract test checks this).
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
    """What a model can do with characters. Counts are per video; 0 means that the model does not take this form.

    native: the provider keeps characters of its own, made from a clip or its stills. native_slow: making a native
    character takes longer than a request. seconds, sizes: what a video with characters may be, if that is less than for
    a video without; None: the same.
    """

    native: int = 0
    native_slow: bool = False
    reference_videos: int = 0
    reference_images: int = 0
    start_frame: bool = False
    clip_seconds: tuple[float, float] = (0.0, 600.0)  # shortest and longest clip that is taken as it is
    trim: bool = False  # a longer clip is cut to the longest before it is sent
    deletable: bool = False  # native characters can be deleted there
    findable: bool = False  # native characters can be looked up there by id
    seconds: tuple[int, ...] | None = None
    sizes: tuple[str, ...] | None = None
    beside_image: int | None = None  # how many fit beside an `input_reference`; None: as many as without

    @property
    def most(self) -> int:
        """The number of characters that fit into one video."""
        return max(self.native, self.reference_videos, self.reference_images, int(self.start_frame))

    @property
    def beside(self) -> int:
        """The number of characters that fit into a video beside an `input_reference`."""
        return self.most if self.beside_image is None else min(self.most, self.beside_image)

    def sent(self, milliseconds: int) -> int:
        """Return how many milliseconds of a clip are sent to the provider."""
        return min(milliseconds, int(self.clip_seconds[1] * 1000)) if self.trim else milliseconds

    @property
    def form(self) -> str | None:
        """The form in which the model gets characters, the best one it takes; None if it takes none."""
        forms = {
            "native": self.native,
            "reference_video": self.reference_videos,
            "reference_image": self.reference_images,
            "start_frame": self.start_frame,
        }
        return next((name for name, taken in forms.items() if taken), None)


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """The clips that a model edits or extends.

    `seconds`: the shortest and longest clip. `sides`: the smallest and largest side in pixels. `whole`: the longest
    extended video in seconds, including the clip.
    """

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
    source_by_clip: bool = False  # editing or extending its own video needs `Source.clip`, too
    remix: bool = False
    delete: bool = False
    slow_inputs: bool = False  # files have to be uploaded there first: too slow for a request, so run_job submits
    findable: bool = False  # after a lost answer the job can be found by our reference
    poll_seconds: float = 5.0
    deadline_seconds: int = 3600  # a job older than this at the provider has failed
    kept_seconds: int | None = None  # how long a finished file stays there; None: until it is deleted, or not known
    prices: Prices = field(default_factory=Prices)

    def way(self, operation: Operation, *, own: bool) -> Way | None:
        """Return how the model does the operation to a video; None if it cannot.

        own: the same deployment made the video. emulated: the extension is a new video that begins with the source's
        last picture, and we join it to the source.
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
        """Return the profile for a new video. With characters (`cast`), fewer lengths and sizes may be possible.

        If the deployment's options leave none of these, the returned profile supports no characters.
        """
        support = self.characters
        if not cast or (support.seconds is None and support.sizes is None):
            return self
        seconds = tuple(one for one in self.seconds if support.seconds is None or one in support.seconds)
        sizes = tuple(one for one in self.sizes if support.sizes is None or one in support.sizes)
        if not seconds or not sizes:  # the options leave no length or no size for characters
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
    """A file of ours as a provider may take it: a stream with a known size, or a presigned URL.

    `open` returns a seekable reader that downloads while it is read. `url` returns a presigned URL for a GET, valid for
    an hour.
    """

    filename: str
    mime_type: str
    size: int
    open: Callable[[], BinaryIO]
    url: Callable[[], str]


@dataclass(frozen=True, slots=True)
class CastMember:
    """A character of an order, in exactly one form that the profile takes: handle, else clip, else stills."""

    name: str
    handle: str | None = None
    clip: Media | None = None
    stills: tuple[Media, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """The video to edit, extend or remix: the provider's own video by id, else a clip. `seconds` is its length."""

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
    """Our account at a provider: base URL, key, HTTP client and the deployment's options."""

    base_url: str
    key: str | None = field(repr=False)
    http: HttpClient
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a job as the provider reports it.

    An unknown status word counts as in_progress. `error` is (code, message) if the job failed.
    """

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
    """A character that the provider keeps.

    If it is not `ready` yet, `poll_character(reference)` asks for it again.
    """

    reference: str
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Content:
    """A file at the provider while it is read. `size` is in bytes, if the provider says it."""

    mime_type: str
    size: int | None
    chunks: Iterator[bytes]


class Provider(ABC):
    """A provider. `name` is the name of its file and is part of managed ids.

    `models` are the models listed in docs/providers.md; a deployment may serve others, too.
    """

    name: ClassVar[str]
    models: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def profile(self, model: str, options: Mapping[str, Any]) -> Profile:
        """Return what `model` (the provider's name for it) can do under these deployment options."""

    @abstractmethod
    def submit(self, account: Account, order: Order) -> Progress:
        """Place a paid order, once.

        Raises Refused if the provider refused the order, and OutcomeUnknown if its response was lost. Never retries.
        """

    @abstractmethod
    def poll(self, account: Account, upstream_id: str) -> Progress:
        """Ask for the state of a job. Raises Refused(NOT_FOUND) if the job is gone; other errors are temporary."""

    @abstractmethod
    def open_content(self, account: Account, progress: Progress) -> AbstractContextManager[Content]:
        """Stream the video of a finished job. Raises Refused(NOT_FOUND) if the video is gone."""

    def make_character(self, account: Account, name: str, clip: Media, stills: tuple[Media, ...]) -> NativeCharacter:
        """Make a native character (`characters.native`). Raises like `submit`."""
        raise NotImplementedError

    def poll_character(self, account: Account, reference: str) -> NativeCharacter:
        """Ask for the state of a character that is being made (`characters.native_slow`).

        Raises like `poll`, and Refused if the provider could not make the character.
        """
        raise NotImplementedError

    def find_character(self, account: Account, reference: str) -> str:
        """Return the name of a native character that exists already (`characters.findable`). Raises like `poll`."""
        raise NotImplementedError

    def delete_character(self, account: Account, reference: str) -> None:
        """Delete a native character (`characters.deletable`). A character that is gone already is no error."""
        raise NotImplementedError

    def delete(self, account: Account, upstream_id: str) -> None:
        """Delete a finished job (`delete`). A job that is gone already is no error."""
        raise NotImplementedError

    def find(self, account: Account, reference: str) -> Progress | None:
        """Return the job that was submitted with this reference (`findable`), or None. Raises like `poll`."""
        raise NotImplementedError
