"""A simulator of Runway's API.

Run from the repository's root:

    python -m local.simulators.runwayml --port 4106 --state DIR [--speed 1.0] [--set name=value]

The API keys and the trigger words in a prompt are those of `local.simulators.openai`. Runway's API refuses no content
at once; the task ends FAILED with one of these codes:

    forbidden        SAFETY.INPUT.TEXT
    refused-later    SAFETY.OUTPUT.VIDEO
    fails-later      INTERNAL.BAD_OUTPUT.CODE01
    sticks-forever, slow-render, odd-status    as in `local.simulators.openai`

Peculiarities of Runway's API:

    * The header X-Runway-Version is required and must have the exact version.
    * The API sends a HEAD before the GET for a file given by a URL. The URL must be https, with a domain, and must not
      redirect. The setting `local_inputs` allows http and IP addresses.
    * An upload goes to an address that takes the given fields, then the file, and no API key.
    * A task beyond the concurrency limit is THROTTLED, not refused.
    * A deleted task is not found.

The simulator serves only the models of `models.py`.
"""
