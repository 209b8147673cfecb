"""A simulator of xAI's video API (Grok Imagine).

Run from the repository's root:

    python -m local.simulators.xai --port 4105 --state DIR [--speed 1.0] [--set name=value]

The API keys and the trigger words in a prompt are those of `local.simulators.openai`. xAI's API reports the words like
this:

    forbidden        the request is refused at once: 403, with a message about usage guidelines
    refused-later    moderation withholds the video, in the form that the setting `moderation` names
    fails-later      the job ends failed with internal_error
    sticks-forever, slow-render, odd-status    as in `local.simulators.openai`

Peculiarities of xAI's API:

    * A poll of a pending job is a 202, without a body until the job runs.
    * A bad image, a bad clip, or a model that does not support edits is reported by the finished job only.
    * Errors have three shapes.
    * The address of a video needs no API key, and it expires.

The Files API, `storage_options` and `output` are not simulated: the simulator answers 501.
"""
