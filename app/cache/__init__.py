"""The memory: what was answered, for how long it is good. Knows nothing of HTTP or orders."""
