"""Shared test code: clocks, upstreams, harnesses and processes."""
