"""Deployments: which server serves a call, and with which key."""
