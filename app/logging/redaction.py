"""Removes what looks like a credential from log lines: a second defense.

No line of ours should contain one. But libraries log texts of their own, and people make mistakes.
Access lines are not searched: their fields are chosen one by one, and no text of a caller or of the
upstream is among them.
"""

import json
import re
from collections.abc import Iterable

REDACTED = "[redacted]"

MIN_SECRET_CHARS = 8
"""Configured values that are shorter would match in too many places."""

_CREDENTIALS = (
    r"obff_[A-Za-z0-9_-]{16,}",
    r"eyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){2,4}",  # a JSON Web Token
    r"(?i:bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}",
    r"(?<=://)[^/@\s\"]+:[^/@\s\"]+(?=@)",  # user and password in a URL
)


class Redaction:
    """Replaces credentials in a text.

    Args:
        secrets: the configured secrets; credentials of known forms are recognized without.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {
            re.escape(form)
            for secret in secrets
            if len(secret) >= MIN_SECRET_CHARS
            for form in (secret, json.dumps(secret)[1:-1])
        }
        # Longer ones first: one secret may be the beginning of another.
        patterns = (*sorted(known, key=len, reverse=True), *_CREDENTIALS)
        self._pattern = re.compile("|".join(patterns))

    def apply(self, text: str) -> str:
        """Return `text` with `REDACTED` in place of each credential."""
        return self._pattern.sub(REDACTED, text)
