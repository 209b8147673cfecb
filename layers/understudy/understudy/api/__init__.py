"""The HTTP API: the code that reads requests and builds responses."""
