"""Azure OpenAI / Microsoft Foundry in its v1 shape: OpenAI's Videos API with another auth header and no extensions.

The last published retirement date of its Sora 2 deployments was 2026-11-02 (LiteLLM 1.109.1's price map). They return
410 since then; this file is kept for subscriptions that still work. `models` maps to the deployment name at Azure. A
key is sent as `api-key`. With the option `entra = true` the secret is an Entra token and is sent as Bearer.

Sources: Foundry REST reference (excerpts, 2026-09), azure-ai-docs: the retirement schedule (2026-09-02) and the page on
video generation (2025-09-16: a job can be read for 24 hours after it was created).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from understudy.providers._openai import OpenAIShaped, sora_profile
from understudy.providers.base import Account, Profile
from understudy.providers.common import with_options


class Azure(OpenAIShaped):
    name = "azure"
    models = ("sora-2", "sora-2-pro")

    def profile(self, model: str, options: Mapping[str, Any]) -> Profile:
        profile = replace(
            sora_profile(model),
            seconds=(4, 8, 12),
            extend_seconds=(),
            extend_upload=False,
            kept_seconds=24 * 3600,
        )
        return with_options(profile, options)

    def headers(self, account: Account) -> dict[str, str]:
        if account.options.get("entra"):
            return super().headers(account)
        return {"api-key": account.key} if account.key else {}


provider = Azure()
