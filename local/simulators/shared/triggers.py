"""Trigger words in a prompt; the docstring of `local.simulators.openai` lists them."""

from __future__ import annotations

import re

from local.simulators.shared.errors import Refusal

_FATES = {"refused-later": "moderation", "fails-later": "internal", "sticks-forever": "stuck"}

#: The error of a failed job, by fate: code, message, and the HTTP status with which a vLLM server answers its poll.
FAILURES = {
    "moderation": ("moderation_blocked", "The video was blocked by the moderation of its output.", 400),
    "internal": ("internal_error", "The video could not be generated because of an internal error.", 500),
}


def moderate(text: str, refusal: Refusal) -> None:
    """Raise the refusal if the text has the word `forbidden`."""
    if re.search(r"\bforbidden\b", text, re.IGNORECASE):
        raise refusal


def fate(prompt: str) -> str:
    """Return how a job with this prompt ends: completed, moderation, internal or stuck."""
    return next((fate for word, fate in _FATES.items() if word in prompt.lower()), "completed")


def slowness(prompt: str) -> float:
    """Return how many times longer than usual a job with this prompt runs."""
    return 10.0 if "slow-render" in prompt.lower() else 1.0


def status_word(prompt: str, status: str) -> str:
    """Return the status to show. With `odd-status` in the prompt, `in_progress` becomes a word that no client knows."""
    return "post_processing" if status == "in_progress" and "odd-status" in prompt.lower() else status
