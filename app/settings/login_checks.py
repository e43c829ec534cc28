"""Checks of the settings of sign-in: what cannot work, and what has no effect."""

from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from app.settings.errors import env_name
from app.settings.identity_checks import Finding
from app.settings.models import Settings
from app.settings.types import is_loopback

_ISSUER, _GRANTS = ("login", "issuer"), ("callers", "grants")
_PUBLIC_URL, _HOST = ("server", "public_url"), ("server", "host")
_REQUIRED = ("client_id", "client_secret", "cookie_secrets")
_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "gov", "net", "org"})


def find_login_conflicts(settings: Settings) -> Iterator[Finding]:
    """Yield the combinations that cannot work, or would not be safe."""
    login = settings.login
    if not login.issuer:
        for name in sorted(login.model_fields_set - {"issuer"}):
            yield (("login", name), _ISSUER), f"requires {env_name(*_ISSUER)}"
        return
    for name in _REQUIRED:
        if not getattr(login, name):
            yield (("login", name), _ISSUER), f"is required with {env_name(*_ISSUER)}"
    if not settings.callers.grants:
        message = (
            f"is required with {env_name(*_ISSUER)}: without it nobody who signs in may read"
            " anything"
        )
        yield (_GRANTS, _ISSUER), message
    public = urlsplit(settings.server.public_url or "")
    hosts = (settings.server.host, public.hostname or settings.server.host)
    if public.scheme != "https" and not all(map(is_loopback, hosts)):
        message = (
            f"must start with https:// with {env_name(*_ISSUER)}, or session cookies would be sent"
            " unencrypted; only a server that is both bound to and called by loopback needs none"
        )
        yield (_PUBLIC_URL, _HOST, _ISSUER), message


def login_warnings(settings: Settings) -> Iterator[str]:
    """Yield the pages that are listed, but to which browsers send no session cookie."""
    if not settings.login.issuer:
        return
    own = settings.server.public_url
    name = env_name(*_PUBLIC_URL) if own else "this server"
    for origin in settings.cors.origins:
        page = urlsplit(origin)
        # Without a public URL the browser opens this server on loopback, by any of its names.
        is_local = page.scheme == "http" and is_loopback(page.hostname or "")
        if not (_is_same_site(page, urlsplit(own)) if own else is_local):
            yield (
                f"{env_name('cors', 'origins')}: people cannot be signed in on pages of {origin}:"
                f" it is another site than {name}, and browsers send the session cookie to requests"
                " of the same site only"
            )


def _is_same_site(one: SplitResult, other: SplitResult) -> bool:
    """Return whether browsers take two origins for the same site.

    That is the case if the scheme and the registrable domain are the same. The latter is taken to
    be the last two labels of the host, or three as in `example.co.uk`.
    """
    return one.scheme == other.scheme and _site(one.hostname) == _site(other.hostname)


def _site(host: str | None) -> list[str]:
    labels = (host or "").split(".")
    if ":" in labels[0] or labels[-1].isdigit():  # an IP address
        return labels
    is_national = len(labels[-1]) == 2 and len(labels) > 2 and labels[-2] in _SECOND_LEVEL
    return labels[-3 if is_national else -2 :]
