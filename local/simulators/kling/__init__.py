"""A stand-in for Kling's API: videos and tasks of the path-per-model kind, elements of the older kind.

Run from the repository's root:

    python -m local.simulators.kling --port 4108 --state DIR [--speed 1.0] [--set name=value]

Credentials and words in a prompt are those of `local.simulators.openai`, with Kling's ways of showing them:

    forbidden        refused at once: 400, code 1301; in an element's name too
    refused-later    ends failed, with a message that speaks of risk control
    fails-later      ends failed with another message
    sticks-forever, slow-render, odd-status    as there

Oddities that are Kling's own: `succeeded` for videos and `succeed` for elements; one envelope with a code, where 0 is
good; arrears are a 429; `external_task_id` is unique in an account; element ids are numbers with more digits than a
float keeps; a task that is not there is an empty list, an element's is a 1201; the videos' addresses take no key and
die. Not simulated, and said so with a 501: callbacks, voices, motion control, and the older paths for videos.
"""
