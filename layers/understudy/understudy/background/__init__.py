"""What no caller waits for."""
