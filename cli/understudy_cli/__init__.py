"""The command `understudy`, for people who use or operate an Understudy gateway."""
