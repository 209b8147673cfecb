"""Callers' files: uploaded, inspected and sent to providers."""
