"""Modules that several simulators share."""
