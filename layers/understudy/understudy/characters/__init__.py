"""Portable characters: made once, used with every provider that takes characters."""
