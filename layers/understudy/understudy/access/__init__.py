"""API keys and rate limits: who calls, and how often."""
