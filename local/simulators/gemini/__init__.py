"""A simulator of Google's Gemini Developer API, as far as the Omni models need it: Interactions and Files.

Run from the repository's root:

    python -m local.simulators.gemini --port 4107 --state DIR [--speed 1.0] [--set name=value]

The base URL is http://127.0.0.1:PORT/v1beta (or /v1). The API keys are those of `local.simulators.openai`, sent in the
header `x-goog-api-key`. The trigger words in a prompt are the same, too. Google's API reports them like this:

    forbidden        the request is refused at once: 400, with a message that mentions SAFETY
    refused-later    the video is withheld at the end, in the form that the setting `moderation` names
    fails-later      the job ends failed, with `errors`
    sticks-forever, slow-render, odd-status    as in `local.simulators.openai`

Peculiarities of Google's API:

    * A duration is a string ("8s"). A plain number is a 400.
    * An unknown id is a 400.
    * Errors have three shapes.
    * `previous_interaction_id` and a task exclude each other.
    * An edit takes no duration.
    * An uploaded file is PROCESSING before it is ACTIVE. A background job takes an uploaded video as a `document` only.
    * The API reports a bad input address at the end of the job.

Streams and webhooks are not simulated: the simulator answers 501.
"""
