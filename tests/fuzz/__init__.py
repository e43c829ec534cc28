"""Schemathesis against a running server: every route, every check."""
