"""Words in a prompt that make something happen; see the package's docstring for the list."""

from __future__ import annotations

import re

from local.simulators.shared.errors import Refusal

_FATES = {"refused-later": "moderation", "fails-later": "internal", "sticks-forever": "stuck"}

#: What a failed job shows, by fate: code, message, and the HTTP status a vLLM server answers its poll with.
FAILURES = {
    "moderation": ("moderation_blocked", "The video was blocked by the moderation of its output.", 400),
    "internal": ("internal_error", "The video could not be generated because of an internal error.", 500),
}


def moderate(text: str, refusal: Refusal) -> None:
    """Raises the refusal when the text has the word `forbidden`."""
    if re.search(r"\bforbidden\b", text, re.IGNORECASE):
        raise refusal


def fate(prompt: str) -> str:
    """How a job with this prompt ends: completed, moderation, internal or stuck."""
    return next((fate for word, fate in _FATES.items() if word in prompt.lower()), "completed")


def slowness(prompt: str) -> float:
    """How many times longer than usual a job with this prompt runs."""
    return 10.0 if "slow-render" in prompt.lower() else 1.0


def status_word(prompt: str, status: str) -> str:
    """The status as shown: `odd-status` has the provider use a word for `in_progress` that no client knows."""
    return "post_processing" if status == "in_progress" and "odd-status" in prompt.lower() else status
