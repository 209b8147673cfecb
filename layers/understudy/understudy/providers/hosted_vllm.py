"""vLLM-Omni (0.30.0): self-hosted, one model a server, multipart only.

The server has no characters, edits, extensions or remix of its own, and no variants of content. Models that take
references get characters as references: the option `references = "image"` sends stills as `image_reference`, `"video"`
sends the clip as `video_reference`. `seconds` and `sizes` depend on the model and hardware and are set by options. The
defaults are those of the Wan family.

Source: vllm_omni 0.30.0 (wheel, server source), 2026-11.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from understudy.providers._openai import OpenAIShaped
from understudy.providers.base import CharacterSupport, Media, Order, Profile
from understudy.providers.common import with_names, with_options

MAX_REFERENCES = 4


class HostedVllm(OpenAIShaped):
    name = "hosted_vllm"
    models = ()  # whichever one the server was started with
    json_bodies = False

    def profile(self, model: str, options: Mapping[str, Any]) -> Profile:
        references = options.get("references")
        characters = CharacterSupport(
            reference_images=MAX_REFERENCES if references == "image" else 0,
            reference_videos=MAX_REFERENCES if references == "video" else 0,
        )
        profile = Profile(
            seconds=tuple(range(1, 16)),
            sizes=("832x480", "480x832", "1280x720", "720x1280"),
            default_seconds=4,
            default_size="832x480",
            characters=characters,
            delete=True,
            kept_seconds=None,  # until it is deleted, unless the server's FILE_TTL says otherwise
        )
        return replace(with_options(profile, options), characters=characters)

    def fields(self, order: Order) -> tuple[dict[str, Any], dict[str, Media]]:
        named = replace(order, prompt=with_names(order.prompt, order.cast), cast=())
        fields, files = super().fields(named)
        stills = [{"image_url": member.stills[0].url()} for member in order.cast if member.stills]
        clips = [{"video_url": member.clip.url()} for member in order.cast if member.clip]
        if stills:
            fields["image_reference"] = json.dumps(stills)
        if clips:
            fields["video_reference"] = json.dumps(clips)
        return fields, files


provider = HostedVllm()
