"""Several processes with one store, measured."""
