"""Stand-ins that tests drive: no patching of our own code beyond the two edges, HTTP out and the sealed media functions."""
