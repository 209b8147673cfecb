"""Understudy: the Videos API with characters, on any provider that is alive."""

from __future__ import annotations

__version__ = "0.1.0"
