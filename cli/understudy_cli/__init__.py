"""`understudy`: commands for people who use or operate a gateway."""
