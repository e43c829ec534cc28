"""The other side: the one API we call, and all it can do to us."""
