"""Files of callers: presigned, landed, inspected, handed to providers."""
