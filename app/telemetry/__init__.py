"""Metrics and traces: what operators see of the requests and of the upstream calls."""
