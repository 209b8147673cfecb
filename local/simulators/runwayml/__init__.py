"""A stand-in for Runway's API.

Run from the repository's root:

    python -m local.simulators.runwayml --port 4106 --state DIR [--speed 1.0] [--set name=value]

Credentials and words in a prompt are those of `local.simulators.openai`, with Runway's ways of showing them: nothing is
refused for its content at once, the task ends FAILED.

    forbidden        SAFETY.INPUT.TEXT
    refused-later    SAFETY.OUTPUT.VIDEO
    fails-later      INTERNAL.BAD_OUTPUT.CODE01
    sticks-forever, slow-render, odd-status    as there

Oddities that are Runway's own: the header X-Runway-Version must be there and exact; a file by URL is asked for with a
HEAD before the GET, from a domain, over https, without redirects (the setting `local_inputs` allows this machine's
addresses); uploads go to an address that wants its fields, then the file, and no key; one task too many is not refused
but THROTTLED; what was deleted is not found again. Only the models of `models.py` are served.
"""
