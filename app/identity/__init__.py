"""Callers that an issuer vouches for: its keys, the tokens of services, and what they may do."""
