"""Stand-ins that tests drive: no patching of our own code beyond its edges, HTTP out and the sealed media functions."""
