"""Stand-ins that tests control.

Our own code is patched only at its edges: outgoing HTTP and the sealed media functions.
"""
