"""Which server, with which key."""
