# ruff: noqa
"""LiteLLM's announcement of characters, edits and extensions, top to bottom, against Understudy.

    OPENAI_BASE_URL=$(make -s url) OPENAI_API_KEY=$(make -s key) python docs/announcement.py

Run it with LiteLLM 1.109.1 where a luna.mp4 is (`make demo` leaves one in demo/). Three corrections, no more:

1. The announcement's functions are coroutines, so they are awaited.
2. `avideo` is called `avideo_generation`.
3. Each call is given base URL and key: for videos LiteLLM does not take the base URL from the environment.
"""

import asyncio
import os

import litellm

HERE = {"api_base": os.environ["OPENAI_BASE_URL"], "api_key": os.environ["OPENAI_API_KEY"]}


async def main():
    # Create character from video
    character = await litellm.avideo_create_character(
        name="Luna",
        video=open("luna.mp4", "rb"),
        custom_llm_provider="openai",
        model="sora-2",
        **HERE,
    )
    print(f"Character: {character.id}")

    # Use in generation
    video = await litellm.avideo_generation(
        model="sora-2",
        prompt="Luna dances through a magical forest.",
        characters=[{"id": character.id}],
        seconds="8",
        **HERE,
    )

    # Get character info
    fetched = await litellm.avideo_get_character(
        character_id=character.id,
        custom_llm_provider="openai",
        **HERE,
    )

    # Edit with character preserved
    edited = await litellm.avideo_edit(
        video_id=video.id,
        prompt="Add warm golden lighting",
        **HERE,
    )

    # Extend sequence
    extended = await litellm.avideo_extension(
        video_id=video.id,
        prompt="Luna waves goodbye",
        seconds="5",
        **HERE,
    )


asyncio.run(main())
