"""The orders: routes, queries, the cached list and what is computed and rendered from it."""
