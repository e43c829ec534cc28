"""An embedded upstream: a strict mock of the vendor's API with fault injection on demand."""
