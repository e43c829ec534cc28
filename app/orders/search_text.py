"""Normalizes texts, so that a search finds what a reader takes for the same text."""

from unicodedata import normalize

CHUNK_CHARS = 256
"""Characters normalized at once: the time for a run of combining characters is quadratic."""


def normalized(text: str) -> str:
    """Return `text` case-folded and in the form NFKC (Unicode section 3.13, D145)."""
    if text.isascii():
        return text.lower()
    starts = range(0, len(text), CHUNK_CHARS)
    return "".join(_fold(text[start : start + CHUNK_CHARS]) for start in starts)


def _fold(text: str) -> str:
    # Twice, because folding can undo the normalization.
    return normalize("NFKC", normalize("NFKC", text).casefold())
