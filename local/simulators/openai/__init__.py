"""A stand-in for OpenAI's Videos API, Azure's copy of it, and servers of the vLLM-Omni kind.

Run from the repository's root:

    python -m local.simulators.openai --port 4101 --state DIR [--speed 1.0] [--flavour openai|azure|vllm]

Credentials: any key `sim-<account>` (`sim-a`, `sim-b`); `sim-a.1` and `sim-a.2` are two keys of the account a. Jobs
and characters belong to an account, and what belongs to another is not found. Jobs are queued for 0.4 s and run for
1.6 s, divided by the speed.

Words in a prompt that make something happen:

    forbidden        (a whole word) refused at once: 400, code moderation_blocked; in a character's name too
    refused-later    the job ends failed with moderation_blocked
    fails-later      the job ends failed with internal_error
    sticks-forever   the job stays in_progress
    slow-render      the job runs ten times as long
    odd-status       while it runs, its status is a word no client knows (post_processing)

Everything is recorded and steered under `/_sim/` (module `control`); `--set name=value` sets what `settings.Settings`
lists.
"""
