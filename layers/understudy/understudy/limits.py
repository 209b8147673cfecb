"""What a model can do, checked before anything is stored, sent or paid for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from understudy.characters import Character
from understudy.deployments import Deployment, Deployments
from understudy.errors import ApiError, InvalidRequest, Unsupported
from understudy.providers.base import Operation, Profile
from understudy.routing import profile_of

SHAPE_TOLERANCE = 0.03


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller wants made, whoever makes it. `made_by` is the deployment of the source video, if it is one of
    ours."""

    operation: Operation
    prompt: str
    seconds: int | None = None
    size: str | None = None
    has_image: bool = False
    characters: list[Character] = field(default_factory=list)
    made_by: str | None = None


def objection(wish: Wish, deployment: Deployment, profile: Profile) -> ApiError | None:
    """Why this deployment cannot do it; None if it can."""
    checks = (_operation(wish, deployment, profile), _prompt(wish, profile), _seconds(wish, profile))
    characters = _characters(wish, deployment, profile)
    return next((error for error in (*checks, _size(wish, profile), characters) if error), None)


def able(deployments: Deployments, wish: Wish) -> list[str]:
    """The model names with a deployment that could do it."""
    return [
        model
        for model in deployments.models()
        if any(objection(wish, one, profile_of(one, model)) is None for one in deployments.group(model))
    ]


def advise(error: ApiError, models: Iterable[str]) -> ApiError:
    """The objection, saying which models could do what was asked."""
    names = ", ".join(models)
    if isinstance(error, Unsupported):
        error.message += f" Models that can: {names}." if names else " No model of this key can."
    return error


def _operation(wish: Wish, deployment: Deployment, profile: Profile) -> ApiError | None:
    own = wish.made_by == deployment.id
    possible = {
        "create": not wish.has_image or profile.input_image,
        "edit": profile.edit if own else profile.edit_upload,
        "extend": bool(profile.extend_seconds) if own else bool(profile.extend_seconds) and profile.extend_upload,
        "remix": own and profile.remix,
    }[wish.operation]
    if possible:
        return None
    if wish.operation == "create":
        return Unsupported("This model takes no input_reference.", param="input_reference")
    whose = "a video" if own else "a clip that it did not make"
    return Unsupported(f"This model cannot {wish.operation} {whose}.", param="model")


def _prompt(wish: Wish, profile: Profile) -> ApiError | None:
    if len(wish.prompt) <= profile.prompt_characters:
        return None
    return InvalidRequest(f"prompt: this model takes at most {profile.prompt_characters} characters.", param="prompt")


def _seconds(wish: Wish, profile: Profile) -> ApiError | None:
    possible = {"create": profile.seconds, "extend": profile.extend_seconds}.get(wish.operation)
    if possible is None or wish.seconds is None or wish.seconds in possible:
        return None
    listed = ", ".join(f'"{seconds}"' for seconds in possible)
    return InvalidRequest(f'seconds: this model cannot make "{wish.seconds}". Possible: {listed}.', param="seconds")


def _size(wish: Wish, profile: Profile) -> ApiError | None:
    if wish.size is None or fit(wish.size, profile.sizes):
        return None
    return InvalidRequest(
        f"size: this model makes neither {wish.size} nor larger of that shape. Possible: {', '.join(profile.sizes)}.",
        param="size",
    )


def fit(size: str, sizes: tuple[str, ...]) -> str | None:
    """The size to make when `size` is asked for: itself, else the smallest of its shape that is not smaller.

    1024x1792 becomes 1080x1920 (shapes may differ by 3 %); a lower resolution is never made instead.
    """
    if size in sizes:
        return size
    width, height = _pixels(size)
    larger = [
        (wide * high, one)
        for one, (wide, high) in ((one, _pixels(one)) for one in sizes)
        if wide >= width and high >= height and abs(wide * height / (high * width) - 1) <= SHAPE_TOLERANCE
    ]
    return min(larger)[1] if larger else None


def _pixels(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    return int(width), int(height)


def _characters(wish: Wish, deployment: Deployment, profile: Profile) -> ApiError | None:
    support, count = profile.characters, len(wish.characters)
    if count == 0:
        return None
    if support.most == 0:
        return Unsupported("This model takes no characters.", param="characters")
    if count > support.most:
        return Unsupported(f"characters: this model takes at most {support.most} in one video.", param="characters")
    shortest, longest = support.clip_seconds
    for i, character in enumerate(wish.characters):
        if not character.has_clip:
            if support.native and character.home == deployment.id:
                continue
            message = f"characters: {character.name} has no clip here and plays only at the provider that made it."
            return Unsupported(message, param=f"characters[{i}]")
        seconds = character.milliseconds / 1000
        if seconds < shortest or (seconds > longest and not support.trim):
            message = (
                f"characters: the clip of {character.name} is {seconds:.1f} s long; "
                f"this model takes clips of {shortest:g} to {longest:g} s."
            )
            return Unsupported(message, param=f"characters[{i}]")
    return None
