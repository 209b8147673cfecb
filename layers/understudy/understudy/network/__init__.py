"""HTTP to other servers: deadlines, address checks, and whether a failed request may have reached the server."""
