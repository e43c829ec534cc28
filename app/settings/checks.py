"""Checks of valid settings that concern several of them: what cannot work, and what has no effect.

A bound that has no effect above another one is refused only if it has been set: the defaults may
be above a low deadline.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from app.settings.errors import env_name
from app.settings.identity_checks import find_identity_conflicts, identity_warnings
from app.settings.login_checks import find_login_conflicts, login_warnings
from app.settings.models import Settings
from app.settings.types import is_loopback, is_private, networks_overlap

Path = tuple[str, ...]
"""A setting, as `("cache", "ttl")`."""

_UPPER_BOUNDS: tuple[tuple[Path, Path], ...] = (
    (("upstream", "connect_timeout"), ("upstream", "deadline")),
    (("upstream", "read_timeout"), ("upstream", "deadline")),
    (("cache", "max_stale_wait"), ("upstream", "deadline")),
    (("upstream", "refresh_rate"), ("upstream", "max_rate")),
)
"""Settings that have no effect above another one."""


class Conflict(NamedTuple):
    """Settings that contradict each other, the one to change first."""

    settings: tuple[Path, ...]
    message: str

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(env_name(*path) for path in self.settings)


def find_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Yield the combinations that cannot work."""
    for path, bound in _UPPER_BOUNDS:
        limit = _value(settings, bound)
        if settings.is_set(*path) and _value(settings, path) > limit:
            message = f"must be at most {env_name(*bound)}, which is {limit:g}"
            yield Conflict((path, bound), message)
    yield from _find_upstream_conflicts(settings)
    cache, callers = settings.cache, settings.callers
    if cache.stale_if_error < cache.stale_while_revalidate:
        bound = ("cache", "stale_while_revalidate")
        message = f"must be at least {env_name(*bound)}: both count from the end of the TTL"
        yield Conflict((("cache", "stale_if_error"), bound), message)
    has_credentials = callers.api_keys or callers.api_keys_file or settings.issuers()
    if not callers.anonymous and not has_credentials:
        api_keys, file = ("callers", "api_keys"), ("callers", "api_keys_file")
        message = (
            f"no caller could authenticate: set {env_name(*api_keys)} (`orders-bff keys new NAME`"
            f" creates an entry), {env_name(*file)} or {env_name('callers', 'oidc_issuer')}, or"
            " allow anonymous callers"
        )
        issuers = (("callers", "oidc_issuer"), ("login", "issuer"))
        yield Conflict((("callers", "anonymous"), api_keys, file, *issuers), message)
    digests = {entry.sha256 for entry in settings.api_keys()}
    if len(digests) < len(settings.api_keys()):
        file, api_keys = ("callers", "api_keys_file"), ("callers", "api_keys")
        message = f"must not have a key that {env_name(*api_keys)} has, too"
        yield Conflict((file, api_keys), message)
    for concerned, message in chain(
        find_identity_conflicts(settings), find_login_conflicts(settings)
    ):
        yield Conflict(concerned, message)
    if settings.cors.api_keys and not settings.cors.origins:
        origins = ("cors", "origins")
        yield Conflict((("cors", "api_keys"), origins), f"requires {env_name(*origins)}")


def _find_upstream_conflicts(settings: Settings) -> Iterator[Conflict]:
    upstream = settings.upstream
    base_url, parts = ("upstream", "base_url"), urlsplit(upstream.base_url)
    is_local = is_loopback(parts.hostname or "")
    if parts.scheme == "http" and not is_local and not upstream.allow_http:
        allow_http = ("upstream", "allow_http")
        message = f"must start with https:// (or set {env_name(*allow_http)}=true)"
        yield Conflict((base_url, allow_http), message)
    if is_local and parts.port == settings.server.port != 0:
        port = ("server", "port")
        message = f"must not be the address of this server (see {env_name(*port)})"
        yield Conflict((base_url, port), message)
    if upstream.pool_id and upstream.auth == "signature":
        auth = ("upstream", "auth")
        message = f"cannot be checked with {env_name(*auth)}=signature, which names no pool"
        yield Conflict((("upstream", "pool_id"), auth), message)


def find_warnings(settings: Settings) -> tuple[str, ...]:
    """Return the warnings to log at each start: settings that are unsafe or have no effect."""
    return (
        *settings.source_warnings,
        *_upstream_warnings(settings),
        *_proxy_warnings(settings),
        *_metrics_warnings(settings),
        *identity_warnings(settings),
        *_rate_warnings(settings),
        *login_warnings(settings),
    )


def _upstream_warnings(settings: Settings) -> Iterator[str]:
    upstream = settings.upstream
    base_url = urlsplit(upstream.base_url)
    name = env_name("upstream", "base_url")
    is_encrypted = base_url.scheme == "https"
    if not is_encrypted and not is_loopback(base_url.hostname or ""):
        yield f"{name} is http: the credential is sent unencrypted"
    if is_encrypted and upstream.allow_http:
        yield f"{env_name('upstream', 'allow_http')} has no effect: {name} is https"
    proxy = urlsplit(upstream.proxy.get_secret_value() if upstream.proxy else "")
    if upstream.ca_file and not is_encrypted and proxy.scheme != "https":
        yield f"{env_name('upstream', 'ca_file')} has no effect: {name} is http"


def _proxy_warnings(settings: Settings) -> Iterator[str]:
    server = settings.server
    name = env_name("server", "trusted_proxies")
    if not server.trusted_proxies:
        return
    if any(network.endswith("/0") for network in server.trusted_proxies):
        yield f"{name} contains every address: any client can choose the address in logs and limits"
    loopback = ("127.0.0.0/8", "::1/128")
    if is_loopback(server.host) and not networks_overlap(server.trusted_proxies, loopback):
        host = env_name("server", "host")
        yield f"{name} has no effect: with {host}={server.host} only this machine can connect"


def _metrics_warnings(settings: Settings) -> Iterator[str]:
    listen = settings.metrics.listen
    if listen and not is_private(listen.host):
        name = env_name("metrics", "listen")
        yield f"{name} is neither a loopback nor a private address: anybody can read the metrics"


def _rate_warnings(settings: Settings) -> Iterator[str]:
    callers = settings.callers
    of_keys = [key.rate for key in settings.api_keys() if key.rate]
    rates = {callers.rate, callers.scan_rate, callers.detail_rate, *of_keys}
    if callers.rate_headers and rates == {"0"}:
        yield f"{env_name('callers', 'rate_headers')} has no effect: every rate is 0"


def _value(settings: Settings, path: Path) -> Any:
    group, name = path
    return getattr(getattr(settings, group), name)
