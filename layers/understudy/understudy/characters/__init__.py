"""The portable character."""
