"""Benchmarks: what a request costs, compared with baselines measured in the same run."""
