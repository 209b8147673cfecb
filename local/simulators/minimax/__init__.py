"""A simulator of MiniMax's second video API (Hailuo 3).

Run from the repository's root:

    python -m local.simulators.minimax --port 4109 --state DIR [--speed 1.0] [--set name=value]

The API keys and the trigger words in a prompt are those of `local.simulators.openai`. MiniMax's API reports the words
like this:

    forbidden        the request is refused at once: 422, code 1026
    refused-later    the job ends failed, with code 1027
    fails-later      the job ends failed, with code 1000
    sticks-forever, slow-render, odd-status    as in `local.simulators.openai`

Peculiarities of MiniMax's API:

    * The code of an error stands in brackets at the end of its message.
    * An unknown task is a 500. A task older than seven days is a 400.
    * A first frame and references exclude each other.
    * A reference clip has 23.976 to 60 frames a second (the setting `clip_rates`: this project's own clips have fewer).
    * Deleting a queued task cancels it, and the task stays known. Any other deleted task is gone.
    * The API reports a bad file at once.

Not simulated: the Files API, audio inputs, regeneration, callbacks and the first API.
"""
