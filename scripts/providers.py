"""Generate docs/providers.md from the providers' own profiles: `python scripts/providers.py [--check]`.

Routing, validation and `GET /v1/models` use the same profiles. With --check the script writes nothing, and a difference
is an error.
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
from understudy.api import models  # noqa: E402
from understudy.providers.base import CharacterSupport, Operation, Profile, Provider, SourceLimits  # noqa: E402
from understudy.providers.prices import rate  # noqa: E402

TARGET = ROOT / "docs" / "providers.md"
FORMS = {
    "native": "characters of its own",
    "reference_video": "reference clips",
    "reference_image": "stills",
    "start_frame": "the first frame",
}
OPERATIONS: tuple[Operation, ...] = ("create", "edit", "extend", "remix")
# Words for the operations and the extra charges of the price list.
ASKED = {
    "create": "new",
    "characters": "with characters",
    "edit": "edit",
    "extend": "extend",
    "remix": "remix",
    "source": "the source that goes in",
    "clips": "the characters' clips",
    "character": "a character",
}
HEAD = """\
# Providers

`scripts/providers.py` generates this page from the profiles in `layers/understudy/understudy/providers/`, and a test
compares the two. Do not edit it.

The tables show each model without deployment options. The head of each provider file lists the options that it takes
and the sources of its facts. The deployments file may name other models of a provider, too. `GET /v1/models` says what
the configured models can do.

* **Characters**: the form in which the provider gets a character, and the limit for one video. The clip may be as long
  as stated; "cut" means that Understudy shortens a longer clip to that length. Limits that hold only for videos with
  characters are stated: lengths in this column, sizes in the provider's section.
* **Edit, extend**: "own" is a video that the same deployment made. "Any" is any clip: an upload, a file in the request,
  or the finished video of another provider; the limits of such clips follow. An extension first states by how many
  seconds. "Emulated" is for any clip: a new video begins with the source's last frame and is joined to the source.
* **Price** is in dollars for a second of output: the whole result of an edit or a remix, the new part of an extension.
  Lines with a + are added. Budgets count with this price. It is the provider's list price on the day that the provider
  file names. If no price is known, nothing is counted. A clip of another size costs as much as the nearest size.
* **Kept** is how long the provider keeps a finished file. Understudy copies the file into your bucket before that time,
  and the copy stays until you delete it.
"""


def document() -> str:
    """Return the whole file."""
    found = [providers.load(name) for name in providers.names()]
    parts = [HEAD, *_overview(found)]
    for provider in found:
        parts += _section(provider)
    return "\n".join(parts)


def _overview(found: list[Provider]) -> Iterator[str]:
    yield "| Provider | Model | Seconds | Characters | First frame | Edit | Extend | Remix | $ a second | Kept |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for provider in found:
        for model, profile in _profiles(provider):
            cells = (
                f"[{provider.name}](#{provider.name})",
                model,
                _ranges(profile.seconds) or "none made",
                _characters(profile),
                _first_frame(profile),
                _sources(profile.edit, profile.edit_upload, profile.edit_source),
                _extend(profile),
                "yes" if profile.remix else "no",
                _span(profile),
                _kept(profile.kept_seconds),
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
    yield f"* Understudy polls a running job every {first.poll_seconds:g} s and gives it up after {_deadline(first)}."
    if first.slow_inputs:
        yield "* Files take too long for a call: a request with files is answered as `queued`, then `run_job` sends it."
    if first.delete:
        yield "* Deleting a video also deletes it at the provider."
    lost = "finds the order by its reference" if first.findable else "ends the job as `outcome_unknown`"
    yield f"* If the answer to an order is lost, Understudy {lost}. It never sends an order again."
    yield ""
    yield "| Model | Prompt | Sizes (**the default**) | Of | $ |"
    yield "|---|---|---|---|---|"
    for model, profile in profiles:
        for sizes, of, price in _prices(profile):
            yield f"| {model} | {profile.prompt_characters} | {sizes} | {of} | {price} |"
    yield ""


def _profiles(provider: Provider) -> list[tuple[str, Profile]]:
    named = [(f"`{model}`", provider.profile(model, {})) for model in provider.models]
    return named or [("any", provider.profile("", {}))]


def _characters(profile: Profile) -> str:
    support = profile.characters
    if support.form is None:
        return "no"
    said = ""
    if support.form in {"native", "reference_video"} and support.clip_seconds != CharacterSupport().clip_seconds:
        shortest, longest = support.clip_seconds
        said = f", clips {f'of {shortest:g} to' if shortest else 'up to'} {longest:g} s"
    said += ", cut" if support.trim else ""
    lengths = profile.playing(cast=True).seconds
    said += f", in videos of {_ranges(lengths)} s" if lengths != profile.seconds else ""
    return f"{support.most}, as {FORMS[support.form]}{said}"


def _first_frame(profile: Profile) -> str:
    """Return whether the model takes a first frame, and together with how many characters."""
    support = profile.characters
    if not profile.input_image or support.beside == support.most:
        return "yes" if profile.input_image else "no"
    return f"beside {support.beside} characters" if support.beside else "not beside characters"


def _sources(own: bool, upload: bool, limits: SourceLimits) -> str:
    """Return which videos the model takes: own or any, and the limits of length and size."""
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
    """Return numbers as ranges: (1, 2, 3, 8) becomes '1 to 3, 8'."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def _prices(profile: Profile) -> Iterator[tuple[str, str, str]]:
    """Yield the lines of the price list: the sizes, the operations and extra charges, and their price."""
    listed = models.price_list([profile])
    priced = {size for line in listed if "create" in line["of"] for size in line["sizes"]}
    if rest := [size for size in profile.sizes if size not in priced]:
        yield _sizes(rest, profile), ASKED["create"] if listed else "all", "not known"
    for line in listed:
        again = "create" not in line["of"] and len(line["sizes"]) == len(profile.sizes)
        of = "all" if set(line["of"]) == _makes(profile) else ", ".join(ASKED[one] for one in line["of"])
        on_top, per = set(line["of"]) <= set(models.ON_TOP), " each" if line["per"] == "character" else " a second"
        sizes = "any of them" if again else _sizes(line["sizes"], profile)
        yield sizes, of, f"{'+ ' if on_top else ''}{_dollars(line['least'])}{per}"


def _makes(profile: Profile) -> set[str]:
    """Return everything that the model makes, in the words of the price list."""
    ways = {of for of in OPERATIONS if profile.way(of, own=True) or profile.way(of, own=False)}
    return {*ways, *(["characters"] if profile.characters.most else [])}


def _sizes(sizes: list[str], profile: Profile) -> str:
    return ", ".join(f"**{size}**" if size == profile.default_size else size for size in sizes)


def _span(profile: Profile) -> str:
    """Return the price of a second of a new video, from the cheapest size to the most expensive."""
    prices = sorted({rate(profile.prices.create, size) for size in profile.sizes} - {0})
    return " to ".join(_dollars(price) for price in dict.fromkeys((prices[0], prices[-1]))) if prices else "not known"


def _dollars(micro_dollars: int) -> str:
    return f"{micro_dollars / 1_000_000:.{3 if micro_dollars % 10_000 else 2}f}"


def _kept(seconds: int | None) -> str:
    if seconds is None:
        return "not known"
    return f"{seconds / 86_400:g} days" if seconds > 48 * 3600 else f"{seconds / 3600:g} h"


def _deadline(profile: Profile) -> str:
    minutes = profile.deadline_seconds / 60
    return f"{minutes / 60:g} h" if minutes % 60 == 0 else f"{minutes:g} min"


def _one_line(about: str) -> str:
    """Return the first paragraph as one line, with `<` escaped for Markdown."""
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
