"""What a request costs, beside its rivals, in one run."""
