"""`understudy smoke`: makes a real video through the gateway, and says what happened.

With `--character`, the command makes what LiteLLM's announcement of characters shows: a character from a clip, a video
with the character, an edit and an extension of that video.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import click
from rich.console import Console

from understudy_cli import aws_options
from understudy_cli.estimate import Plan, cost
from understudy_cli.gateway import CallFailed, Gateway, Json
from understudy_cli.transcript import Transcript

FORM_BYTES = 4_000_000  # of a clip in a form; the gateway takes little more
UNSUPPORTED = "unsupported_operation"
NAME = "Luna"
PROMPTS = {
    "alone": "A red paper boat drifts across a calm lake at sunrise.",
    "video": f"{NAME} walks along a calm beach at sunrise.",
    "edit": "Add warm golden light.",
    "extension": f"{NAME} waves goodbye.",
}


@click.command()
@click.option("--model", "name", required=True, help="Model that makes the video.")
@click.option(
    "--character",
    "clip",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Clip of a character, up to 4 MB. Adds a character, an edit and an extension, as far as the model can.",
)
@click.option("--seconds", type=click.IntRange(1), help="Length of the video. Default: the shortest.")
@click.option("--yes", is_flag=True, help="Do not ask before money is spent.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the videos and the transcript. Default: a new one, smoke-DATE-TIME.",
)
@click.option("--base-url", help="Base URL of the gateway. Default: the stack's ApiUrl, or with --local its own.")
@click.option("--key", envvar="UNDERSTUDY_API_KEY", show_envvar=True, help="API key.")
@aws_options.options
def smoke(
    stack: str,
    name: str,
    clip: Path | None,
    seconds: int | None,
    yes: bool,
    output: Path | None,
    base_url: str | None,
    key: str | None,
) -> None:
    """Make a video with a model and download it. Say the price first, and ask. Exit with 1 if a step fails."""
    if not key:
        raise click.UsageError("Set UNDERSTUDY_API_KEY to your API key, or add --key KEY.")
    if clip and clip.stat().st_size > FORM_BYTES:
        raise click.UsageError(f"--character: {clip} is larger than {FORM_BYTES:,} bytes. Use a smaller clip.")
    base_url = base_url or _base_url(stack)
    folder = output or Path(time.strftime("smoke-%Y%m%d-%H%M%S"))
    transcript = Transcript(folder / "transcript.md", key)
    transcript.begin(
        "A smoke test of Understudy",
        model=name,
        base_url=base_url,
        day=time.strftime("%Y-%m-%d", time.gmtime()),
        version_of_the_command=version("understudy"),
    )
    run = Run(Gateway(base_url, key, transcript), transcript, folder)
    try:
        model = run.model(name)
        plan = Plan.of(model, character=clip is not None, seconds=seconds)
        click.echo(cost(plan, model))
        if not yes:
            click.confirm("Make it?", abort=True)
        transcript.save()
        run.play(name, plan, clip)
    except (CallFailed, ValueError) as error:
        message = f"{run.step}: {error}"
        transcript.add(run.step, "the run", "failed", 0, "", str(error))
        transcript.save()
        raise RuntimeError(f"{transcript.clean(message)}\nThe transcript is {transcript.file}.") from error
    click.echo(f"All steps succeeded. The transcript is {transcript.file}.")


class Run:
    """One run of the command. Each step prints how long it took and what it made."""

    def __init__(self, gateway: Gateway, transcript: Transcript, folder: Path) -> None:
        self._gateway, self._transcript, self._folder = gateway, transcript, folder

    @property
    def step(self) -> str:
        """The name of the current step."""
        return self._gateway.step

    def model(self, name: str) -> Json:
        """Return the model's entry. Raises ValueError if the key cannot use a model with this name."""
        self._gateway.step = "models"
        models = {model["id"]: model for model in self._gateway.call("GET", "/models").get("data", [])}
        if name not in models:
            raise ValueError(f"The key cannot use a model {name!r}. It can use: {', '.join(models) or 'none'}.")
        if "capabilities" not in models[name]:
            raise ValueError(
                "GET /models names no capabilities, so this gateway is not Understudy. Check the base URL."
            )
        return dict(models[name])

    def play(self, name: str, plan: Plan, clip: Path | None) -> None:
        """Make what is planned, one after another. Raises CallFailed at the first step that fails."""
        order: Json = {"model": name, "seconds": str(plan.seconds), "size": plan.size}
        if clip is None:
            self._make("video", "/videos", {**order, "prompt": PROMPTS["alone"]})
            return
        character = self._character(name, clip)
        cast = [{"id": character["id"]}]
        video = self._make("video", "/videos", {**order, "prompt": PROMPTS["video"], "characters": cast})
        source = {"video": {"id": video["id"]}}
        if plan.edit:
            self._remake("edit", "/videos/edits", {**source, "prompt": PROMPTS["edit"]})
        else:
            self._skip("edit", "The model cannot edit videos.")
        if plan.added is not None:
            body = {**source, "prompt": PROMPTS["extension"], "seconds": str(plan.added)}
            self._remake("extension", "/videos/extensions", body)
        else:
            self._skip("extension", "The model cannot extend videos.")

    def _character(self, name: str, clip: Path) -> Json:
        with self._timed("character") as done, clip.open("rb") as file:
            fields, files = {"name": NAME, "model": name}, {"video": (clip.name, file, "video/mp4")}
            made = self._gateway.call("POST", "/videos/characters", data=fields, files=files)
            character = self._gateway.call("GET", f"/videos/characters/{made['id']}", "/videos/characters/ID")
            done(f"{character['name']}, from {clip.name}")
        return character

    def _remake(self, step: str, path: str, body: Json) -> None:
        """Make a video from a video, unless the deployment that made the source is one that cannot."""
        try:
            self._make(step, path, body)
        except CallFailed as error:
            if error.code != UNSUPPORTED:
                raise
            self._skip(step, str(error))

    def _make(self, step: str, path: str, body: Json) -> Json:
        file = self._folder / f"{step}.mp4"
        with self._timed(step) as done:
            video = self._gateway.call("POST", path, json=body)
            with Console(stderr=True).status(f"{step}: {video['status']}") as status:
                video = self._gateway.finished(video, lambda text: status.update(f"{step}: {text}"))
            count = self._gateway.download(video["id"], file)
            done(f"{video['seconds']} s, {video['size']}, {count:,} bytes: {file}")
        return video

    @contextmanager
    def _timed(self, step: str) -> Iterator[Callable[[str], None]]:
        """Time a step. The block says what the step made."""
        began, self._gateway.step = time.monotonic(), step
        made: list[str] = []
        try:
            yield made.append
        except CallFailed as error:
            if error.code != UNSUPPORTED:
                self._report(step, "failed", time.monotonic() - began)
            raise
        self._report(step, "succeeded", time.monotonic() - began, *made)

    def _skip(self, step: str, why: str) -> None:
        self._report(step, "not made", 0, why)

    def _report(self, step: str, state: str, seconds: float, found: str = "") -> None:
        self._transcript.add(step, "the step", state, seconds, "", found)
        click.echo(f"{seconds:6.1f} s  {step:<10} {state:<9}  {found}".rstrip())


def _base_url(stack: str) -> str:
    """Return the base URL of the chosen stack. Raises ValueError if there is no such stack."""
    if click.get_current_context().params["local"]:
        return f"http://127.0.0.1:{aws_options.local_port()}/v1"
    return aws_options.outputs(stack, "ApiUrl")["ApiUrl"]
