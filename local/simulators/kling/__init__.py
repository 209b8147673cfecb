"""A simulator of Kling's API: videos and tasks with one path for each model, and elements on the older paths.

Run from the repository's root:

    python -m local.simulators.kling --port 4108 --state DIR [--speed 1.0] [--set name=value]

The API keys and the trigger words in a prompt are those of `local.simulators.openai`. Kling's API reports the words
like this:

    forbidden        the request is refused at once: 400, code 1301; also in an element's name or description
    refused-later    the job ends failed, with a message that mentions risk control
    fails-later      the job ends failed, with another message
    sticks-forever, slow-render, odd-status    as in `local.simulators.openai`

Peculiarities of Kling's API:

    * The status of a finished video is `succeeded`, that of a finished element is `succeed`.
    * Every answer is an envelope with a code; 0 means success.
    * An account that owes money gets a 429.
    * `external_task_id` is unique in an account.
    * An element id is a number with more digits than a float can hold.
    * An unknown video task is an empty list. An unknown element task is a 1201.
    * The address of a video needs no API key, and it expires.

Callbacks and voices are not simulated: the simulator answers 501. Motion control and the older paths for videos are not
simulated either.
"""
