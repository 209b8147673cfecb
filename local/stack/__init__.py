"""The local stack: the template deployed to a local AWS, behind a front door, with simulated providers."""
