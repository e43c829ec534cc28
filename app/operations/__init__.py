"""The routes for operators: the state of a running proxy, purges of its cache, support bundles."""
