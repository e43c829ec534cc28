"""Clients in other hands: generated from the document, checked strictly, used for live calls."""
