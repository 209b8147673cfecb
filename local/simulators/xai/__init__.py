"""A stand-in for xAI's video API (Grok Imagine).

Run from the repository's root:

    python -m local.simulators.xai --port 4105 --state DIR [--speed 1.0] [--set name=value]

Credentials and words in a prompt are those of `local.simulators.openai`, with xAI's ways of showing them:

    forbidden        refused at once: 403, the words of its usage guidelines
    refused-later    ends withheld by moderation, in the form that the setting `moderation` names
    fails-later      ends failed with internal_error
    sticks-forever, slow-render, odd-status    as there

Oddities that are xAI's own: a pending job answers 202, without a body until it runs; what is wrong with an image, a
clip or the choice of a model for an edit shows only in the finished job; errors have three shapes; videos lie on
addresses that take no key and die. Not simulated, and said so with a 501: the Files API, `storage_options`, `output`.
"""
