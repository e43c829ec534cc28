"""Schemathesis against a running server."""
