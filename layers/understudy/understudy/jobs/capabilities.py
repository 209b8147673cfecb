"""Checks what a model can do, before anything is stored, sent or paid for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from understudy.characters.character import Character
from understudy.deployments.config import Deployment, Deployments
from understudy.deployments.routing import profile_of
from understudy.errors import ApiError, InvalidRequest, Unsupported
from understudy.providers.base import Operation, Profile, Way
from understudy.providers.sizes import fit, pixels

SLACK = 0.1  # seconds by which a clip may miss a limit: it may have a frame more or less than its length says
# Pixels of an emulated extension times its seconds: a minute of full HD, 15 s of 4K. `stitch_clips` may have to encode
# all of it within 120 s on one processor; noisy pictures at 24 a second took 1.3 s for a second of full HD.
MAX_JOINED = 1920 * 1080 * 60


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller wants made, independent of the deployment that will make it.

    `made_by` is the deployment that made the source video, if its provider has that video as a whole. `source_seconds`
    and `source_size` are None until the source has been examined.
    """

    operation: Operation
    prompt: str
    seconds: int | None = None
    size: str | None = None
    has_image: bool = False
    characters: list[Character] = field(default_factory=list)
    made_by: str | None = None
    source_seconds: float | None = None
    source_size: str | None = None
    source_pending: bool = False  # the source has to be finished first


def objection(wish: Wish, deployment: Deployment, profile: Profile) -> ApiError | None:
    """Return why this deployment cannot fulfil the wish, or None if it can."""
    way = way_of(wish, deployment, profile)
    checks = (_operation(wish, deployment, profile, way), _prompt(wish, profile), _seconds(wish, profile, way))
    source = _joined(wish, profile) if way == "emulated" else _source(wish, deployment, profile)
    others = (_size(wish, profile), source, _characters(wish, deployment, profile), _playing(wish, profile))
    return next((error for error in (*checks, *others) if error), None)


def way_of(wish: Wish, deployment: Deployment, profile: Profile) -> Way | None:
    """Return how this deployment would fulfil the wish, or None if it cannot."""
    return profile.way(wish.operation, own=wish.made_by == deployment.id)


def able(deployments: Deployments, wish: Wish) -> Iterator[str]:
    """Yield the names of the models with a deployment that can fulfil the wish."""
    for model in deployments.models():
        if any(objection(wish, one, profile_of(one, model)) is None for one in deployments.group(model)):
            yield model


def advise(error: ApiError, models: Iterable[str]) -> ApiError:
    """Return the error. If it is Unsupported, its message gets the names of the models that can do what was asked."""
    if isinstance(error, Unsupported):
        names = ", ".join(models)
        error.message += f" Models that can: {names}." if names else " No model of this key can."
    return error


def _operation(wish: Wish, deployment: Deployment, profile: Profile, way: Way | None) -> ApiError | None:
    if wish.has_image and not profile.input_image:
        return Unsupported("This model does not support input_reference.", param="input_reference")
    if way is not None:
        return None
    whose = "a video" if wish.made_by == deployment.id else "a clip that it did not create"
    return Unsupported(f"This model cannot {wish.operation} {whose}.", param="model")


def _prompt(wish: Wish, profile: Profile) -> ApiError | None:
    if len(wish.prompt) <= profile.prompt_characters:
        return None
    return InvalidRequest(
        f"prompt: this model takes at most {profile.prompt_characters} characters. Shorten the prompt.", param="prompt"
    )


def _playing(wish: Wish, profile: Profile) -> ApiError | None:
    """Return why the model cannot make this length or size with characters, or None if it can."""
    if not wish.characters:
        return None
    able = profile.playing(cast=True)
    if not able.characters.most:
        return Unsupported(
            "With this deployment's options `seconds` and `sizes`, the model does not support characters.",
            param="characters",
        )
    if wish.seconds is not None and wish.seconds not in able.seconds:
        message = f'seconds: "{wish.seconds}" is not supported with characters. Supported: {_listed(able.seconds)}.'
        return Unsupported(message, param="seconds")
    if wish.size is not None and fit(wish.size, able.sizes) is None:
        message = f"size: {wish.size} is not supported with characters. Supported: {', '.join(able.sizes)}."
        return Unsupported(message, param="size")
    return None


def _listed(lengths: Iterable[int]) -> str:
    return ", ".join(f'"{seconds}"' for seconds in lengths)


def _seconds(wish: Wish, profile: Profile, way: Way | None) -> ApiError | None:
    possible = {"create": profile.seconds, "extend": profile.extend_seconds}.get(wish.operation)
    if way == "emulated":
        possible = profile.seconds
    if possible is None or wish.seconds is None or wish.seconds in possible:
        return None
    message = f'seconds: "{wish.seconds}" is not supported by this model. Supported: {_listed(possible)}.'
    return InvalidRequest(message, param="seconds")


def _size(wish: Wish, profile: Profile) -> ApiError | None:
    if wish.size is None or fit(wish.size, profile.sizes):
        return None
    return InvalidRequest(
        f"size: {wish.size} is not supported by this model. Supported: {', '.join(profile.sizes)}.",
        param="size",
    )


def _source(wish: Wish, deployment: Deployment, profile: Profile) -> ApiError | None:
    """Return why the model cannot edit or extend the source, or None if it can.

    For a video that the deployment made itself, only the length of the extended video is checked, unless the provider
    needs the clip.
    """
    limits = {"edit": profile.edit_source, "extend": profile.extend_source}.get(wish.operation)
    if limits is None or wish.source_seconds is None:
        return None
    length = wish.source_seconds
    if wish.operation == "extend" and length + (wish.seconds or 0) > limits.whole + SLACK:
        return Unsupported(
            f"video: with this model an extended video may last {limits.whole:g} seconds in all.", param="video"
        )
    if wish.made_by == deployment.id and not profile.source_by_clip:
        return None
    shortest, longest = limits.seconds
    if not shortest - SLACK <= length <= longest + SLACK:
        message = (
            f"video: this model can {wish.operation} videos of {shortest:g} to {longest:g} seconds. "
            f"This video has {length:g} seconds."
        )
        return Unsupported(message, param="video")
    smallest, largest = limits.sides
    if wish.source_size and not all(smallest <= side <= largest for side in pixels(wish.source_size)):
        message = (
            f"video: this model can {wish.operation} videos with sides of {smallest} to {largest} pixels. "
            f"This video has {wish.source_size}."
        )
        return Unsupported(message, param="video")
    return None


def _joined(wish: Wish, profile: Profile) -> ApiError | None:
    """Return why the source cannot be extended by emulation, or None if it can.

    The model must make a size that fits the source, and the function must have time to join the two videos.
    """
    if wish.source_size is None or wish.source_seconds is None:
        return None
    if fit(wish.source_size, profile.sizes) is None:
        message = f"video: this model supports no size that fits a video of {wish.source_size}, so it cannot extend it."
        return Unsupported(message, param="video")
    width, height = pixels(wish.source_size)
    most = MAX_JOINED // (width * height)
    if wish.source_seconds + (wish.seconds or 0) > most + SLACK:
        message = f"video: with this model an extended video of {wish.source_size} may last {most} seconds in all."
        return Unsupported(message, param="video")
    return None


def _characters(wish: Wish, deployment: Deployment, profile: Profile) -> ApiError | None:
    support, count = profile.characters, len(wish.characters)
    if count == 0:
        return None
    if support.most == 0:
        return Unsupported("This model does not support characters.", param="characters")
    if count > support.most:
        return Unsupported(f"characters: this model takes at most {support.most} in one video.", param="characters")
    if wish.has_image and count > support.beside:
        most = f"at most {support.beside}" if support.beside else "none"
        return Unsupported(f"characters: with an input_reference this model takes {most}.", param="characters")
    shortest, longest = support.clip_seconds
    for i, character in enumerate(wish.characters):
        if not character.has_clip:
            if support.native and character.home == deployment.id:
                continue
            message = f"characters: {character.name} has no clip here. Only the provider that made it can use it."
            return Unsupported(message, param=f"characters[{i}]")
        seconds = character.milliseconds / 1000
        if seconds < shortest or (seconds > longest and not support.trim):
            message = (
                f"characters: the clip of {character.name} is {seconds:.1f} s long; "
                f"this model takes clips of {shortest:g} to {longest:g} s."
            )
            return Unsupported(message, param=f"characters[{i}]")
    return None
