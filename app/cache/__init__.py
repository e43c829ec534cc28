"""The cache: entries with a freshness, one fetch at a time per key, stale entries on errors."""
