"""Commands for developers, started by make."""
