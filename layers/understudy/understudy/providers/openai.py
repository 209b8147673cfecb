"""Servers that speak OpenAI's Videos API, characters, edits and extensions included.

OpenAI switched its own service off on 2026-09-24. Other servers still have the same API (_openai.py).

Deployment options change the profile for servers that do less or something else: `seconds`, `sizes`, `characters` (how
many; 0: none), `first_frame`, `edit`, `remix`, `extend_seconds`, `prompt_characters`, `micro_dollars`, `kept_seconds`,
`deadline_seconds`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.providers._openai import OpenAIShaped, sora_profile
from understudy.providers.base import Profile
from understudy.providers.common import with_options


class OpenAI(OpenAIShaped):
    name = "openai"
    models = ("sora-2", "sora-2-pro")

    def profile(self, model: str, options: Mapping[str, Any]) -> Profile:
        return with_options(sora_profile(model), options)


provider = OpenAI()
