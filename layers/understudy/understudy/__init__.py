"""Understudy: the Videos API with characters, on any provider that is alive."""

from __future__ import annotations

import gc

__version__ = "0.1.0"

# A cold start makes some sixty to ninety thousand objects and keeps them all. Looking for garbage among them, every two
# thousand as Python would, is a twentieth of it; in a warm function it happens later and not more.
gc.set_threshold(100_000)
