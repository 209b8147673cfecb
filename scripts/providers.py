"""Generate docs/providers.md from the providers' own profiles: `python scripts/providers.py [--check]`.

What the tables say is what routing, validation and `GET /v1/models` go by. With --check nothing is written and a
difference is an error.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "layers" / "understudy"))

from understudy import providers  # noqa: E402
from understudy.providers.base import CharacterSupport, Profile, Provider, SourceLimits  # noqa: E402

TARGET = ROOT / "docs" / "providers.md"
FORMS = {
    "native": "characters of its own",
    "reference_video": "reference clips",
    "reference_image": "stills",
    "start_frame": "the first frame",
}
HEAD = """\
# Providers

Generated from the profiles in `layers/understudy/understudy/providers/` by `scripts/providers.py`; a test compares it.
Do not edit.

The tables show each model without deployment options; the head of each provider file says which options it takes and
where its facts come from. Other models of a provider can be named in the deployments file, too. What the configured
models can do is in `GET /v1/models`.

* **Characters**: the form in which a character travels there, and how many fit into one video. The clip may be as long
  as said; "cut" means that a longer one is cut to that length.
* **Edit, extend**: "own" is a video that the same deployment made, "any" a clip from anywhere: an upload, a file in the
  request, or the finished video of another provider; then how long and how large a clip may be. Extensions say first
  by how many seconds. "Emulated": of any, as a new video that begins with the source's last picture, joined to the
  source here.
* **Price** is per second of output. It is what budgets count with, and it is the provider's list price on the day that
  the file names; where none is known nothing is counted.
* A finished video is copied into your bucket, whatever the provider does with its own, and stays until you delete it.
"""


def document() -> str:
    """The whole file."""
    found = [providers.load(name) for name in providers.names()]
    parts = [HEAD, *_overview(found)]
    for provider in found:
        parts += _section(provider)
    return "\n".join(parts)


def _overview(found: list[Provider]) -> Iterator[str]:
    yield "| Provider | Model | Seconds | Characters | First frame | Edit | Extend | Remix | $ a second |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for provider in found:
        for model, profile in _profiles(provider):
            cells = (
                f"[{provider.name}](#{provider.name})",
                model,
                _ranges(profile.seconds) or "none made",
                _characters(profile.characters),
                "yes" if profile.input_image else "no",
                _sources(profile.edit, profile.edit_upload, profile.edit_source),
                _extend(profile),
                "yes" if profile.remix else "no",
                _span(sorted(set(profile.micro_dollars.values()))),
            )
            yield f"| {' | '.join(cells)} |"
    yield ""


def _section(provider: Provider) -> Iterator[str]:
    module = inspect.getmodule(type(provider))
    about = inspect.cleandoc(module.__doc__ or "") if module else ""
    profiles = _profiles(provider)
    first = profiles[0][1]
    yield f"## {provider.name}\n"
    yield f"{_one_line(about)}\n"
    yield f"* A running job is asked for every {first.poll_seconds:g} s, and given up after {_deadline(first)}."
    if first.slow_inputs:
        yield "* Files take too long for a request: one that brings any is answered `queued`, and `run_job` submits it."
    if first.delete:
        yield "* Deleting a video here deletes it there."
    lost = "is looked for there by our reference" if first.findable else "ends as `outcome_unknown`"
    yield f"* An order whose answer was lost {lost}; it is never sent again."
    yield ""
    yield "| Model | $ a second | Sizes (the first of all is the default) | Prompt |"
    yield "|---|---|---|---|"
    for model, profile in profiles:
        for price, sizes in _by_price(profile).items():
            makes = ", ".join(sizes) or "as the source"
            yield f"| {model} | {_dollars(price)} | {makes} | {profile.prompt_characters} |"
    yield ""


def _profiles(provider: Provider) -> list[tuple[str, Profile]]:
    named = [(f"`{model}`", provider.profile(model, {})) for model in provider.models]
    return named or [("any", provider.profile("", {}))]


def _characters(support: CharacterSupport) -> str:
    if support.form is None:
        return "no"
    lengths = ""
    if support.form in {"native", "reference_video"} and support.clip_seconds != CharacterSupport().clip_seconds:
        shortest, longest = support.clip_seconds
        lengths = f", clips {f'of {shortest:g} to' if shortest else 'up to'} {longest:g} s"
    return f"{support.most}, as {FORMS[support.form]}{lengths}{', cut' if support.trim else ''}"


def _sources(own: bool, upload: bool, limits: SourceLimits) -> str:
    """Whose videos it takes, and which."""
    whose = [name for name, taken in (("own", own), ("any", upload)) if taken]
    if whose and limits.seconds != SourceLimits().seconds:
        shortest, longest = limits.seconds
        whose.append(f"{f'{shortest:g}' if shortest else 'up'} to {longest:g} s")
    if whose and limits.sides != SourceLimits().sides:
        smallest, largest = limits.sides
        whose.append(f"{f'{smallest}' if smallest > 1 else 'up'} to {largest} pixels")
    if whose and limits.whole != SourceLimits().whole:
        whose.append(f"{limits.whole:g} s in all")
    return ", ".join(whose) or "no"


def _extend(profile: Profile) -> str:
    if profile.way("extend", own=True) == "emulated":
        return f"{_ranges(profile.seconds)}; emulated"
    native = f"{_ranges(profile.extend_seconds)}; {_sources(True, profile.extend_upload, profile.extend_source)}"
    return native if profile.extend_seconds else "no"


def _ranges(numbers: tuple[int, ...]) -> str:
    """(1, 2, 3, 8) as '1 to 3, 8'."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def _by_price(profile: Profile) -> dict[int, list[str]]:
    """The sizes by what a second of them costs; 0 where no price is known."""
    rest = profile.micro_dollars.get("", 0)
    prices: dict[int, list[str]] = {}
    for size in sorted(profile.sizes, key=lambda size: size != profile.default_size):
        prices.setdefault(profile.micro_dollars.get(size, rest), []).append(size)
    return prices or {rest: []}


def _span(prices: list[int]) -> str:
    if not prices:
        return "not known"
    return " to ".join(_dollars(price) for price in dict.fromkeys((prices[0], prices[-1])))


def _dollars(micro_dollars: int) -> str:
    if not micro_dollars:
        return "not known"
    return f"{micro_dollars / 1_000_000:.{3 if micro_dollars % 10_000 else 2}f}"


def _deadline(profile: Profile) -> str:
    minutes = profile.deadline_seconds / 60
    return f"{minutes / 60:g} h" if minutes % 60 == 0 else f"{minutes:g} min"


def _one_line(about: str) -> str:
    """The first paragraph, in one line; what it puts into angle brackets stays readable in Markdown."""
    return re.sub(r"\s+", " ", about.partition("\n\n")[0]).replace("<", "&lt;")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    text = document()
    if not check:
        TARGET.write_text(text, "utf-8")
    elif not TARGET.exists() or TARGET.read_text("utf-8") != text:
        print("docs/providers.md is not what the providers say: run `python scripts/providers.py`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
