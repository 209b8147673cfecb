"""The local stack, the simulators and the demo, for a laptop. Nothing in this package is deployed."""
