"""A stand-in for Google's Gemini Developer API, as far as the Omni models need it: Interactions and Files.

Run from the repository's root:

    python -m local.simulators.gemini --port 4107 --state DIR [--speed 1.0] [--set name=value]

Its base URL is http://127.0.0.1:PORT/v1beta (or /v1). Credentials and words in a prompt are those of
`local.simulators.openai`, with Google's ways of showing them; keys go in `x-goog-api-key`:

    forbidden        refused at once: 400, a text that speaks of SAFETY
    refused-later    ends withheld, in the form that the setting `moderation` names
    fails-later      ends failed, with `errors`
    sticks-forever, slow-render, odd-status    as there

Oddities that are Google's own: durations are strings ("8s"), a bare number is a 400; an unknown id is a 400; errors
have three shapes; `previous_interaction_id` excludes a task; edits take no duration; a file that was uploaded is
PROCESSING before it is ACTIVE, and works in background jobs as a `document` only; what is wrong with an address shows
at the end of the job. Not simulated, and said so with a 501: streams, webhooks.
"""
