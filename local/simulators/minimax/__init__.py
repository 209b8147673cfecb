"""A stand-in for MiniMax's second video API (Hailuo 3).

Run from the repository's root:

    python -m local.simulators.minimax --port 4107 --state DIR [--speed 1.0] [--set name=value]

Credentials and words in a prompt are those of `local.simulators.openai`, with MiniMax's ways of showing them:

    forbidden        refused at once: 422, 1026
    refused-later    ends failed with 1027
    fails-later      ends failed with 1000
    sticks-forever, slow-render, odd-status    as there

Oddities that are MiniMax's own: a code stands in brackets at the end of the sentence; an unknown task is a 500, one
that is older than seven days a 400; a first frame and references exclude each other; reference clips have 23.976 to 60
pictures a second (the setting `clip_rates`: the drawn clips of this project have fewer); a queued task that is deleted
is cancelled and still known, any other is gone; what is wrong with a file is said at once. Not simulated, and said so:
the Files API, sounds that go in, regeneration, callbacks, the first API.
"""
