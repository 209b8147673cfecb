"""HTTP to the world: deadlines, addresses, and what of a call has reached whom."""
