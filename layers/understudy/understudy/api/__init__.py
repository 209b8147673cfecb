"""The HTTP API: everything that knows a call."""
