"""A simulator of OpenAI's Videos API, of Azure's version of it, and of a vLLM-Omni server.

Run from the repository's root:

    python -m local.simulators.openai --port 4101 --state DIR [--speed 1.0] [--flavour openai|azure|vllm]

API keys: any key `sim-<account>` works (`sim-a`, `sim-b`); `sim-a.1` and `sim-a.2` are two keys of the account a. Jobs
and characters belong to an account. Other accounts get a 404 for them. A job is queued for 0.4 s and runs for 1.6 s,
divided by the speed.

Trigger words in a prompt:

    forbidden        (a whole word) the request is refused at once: 400, code moderation_blocked; also in a character's
                     name
    refused-later    the job ends failed with moderation_blocked
    fails-later      the job ends failed with internal_error
    sticks-forever   the job stays in_progress
    slow-render      the job runs ten times as long
    odd-status       while the job runs, its status is a word that no client knows (post_processing)

The simulator records every request. Tests read the records and control the simulator under `/_sim/` (module `control`).
`--set name=value` changes a setting; `settings.Settings` lists all settings.
"""
