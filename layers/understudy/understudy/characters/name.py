"""A character's name, by which prompts call it."""

MAX_NAME = 80  # characters
