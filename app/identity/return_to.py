"""Where a browser goes after sign-in: a page of this proxy, or of a listed origin."""

import re
from collections.abc import Collection
from urllib.parse import unquote

MAX_CHARS = 1024
"""A login state is stored in a cookie, and there may be three of them."""

_PRINTABLE = re.compile(r"/[!-~]*")
_UNSAFE = re.compile(r"//|[\x00-\x20\x7f-\xa0\\]|(?:^|/)\.\.?(?:/|$)")
"""What a browser or a proxy could take for the start of a host name, or resolve to one."""


def is_valid_return_to(text: str, origins: Collection[str] = ()) -> bool:
    """Return whether `text` is an absolute path, or a page of one of `origins`.

    The path has one leading slash and no empty or dot segments, also when it is percent-decoded.
    """
    if len(text) > MAX_CHARS:
        return False
    for origin in origins:
        if text == origin:
            return True
        if text.startswith(f"{origin}/"):
            text = text.removeprefix(origin)
            break
    return bool(_PRINTABLE.fullmatch(text)) and "\\" not in text and _is_plain_path(text)


def _is_plain_path(text: str) -> bool:
    path = re.split("[?#]", text, maxsplit=1)[0]
    while not _UNSAFE.search(path):
        decoded = unquote(path)
        if decoded == path:
            return True
        path = decoded
    return False
