"""The resource: what callers may ask, and what they are promised."""
