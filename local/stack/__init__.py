"""The local stack: the template deployed to a local AWS, behind a local proxy (the front), with simulated providers."""
