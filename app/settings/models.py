"""The settings by group, with defaults and bounds.

`.env.example` explains each of them. A setting whose validity depends on another one is declared
after it, because `info.data` has the fields declared before. A setting whose default would be a
useless example has another one in `examples`.
"""

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.settings.api_keys import SCOPES, ApiKeyList, ApiKeysFile, Scope
from app.settings.errors import PREFIX, SettingsError, env_name
from app.settings.types import (
    CertificatesFile,
    Currency,
    Host,
    Listener,
    Name,
    Network,
    Origin,
    PoolId,
    Port,
    ProxyUrl,
    Rate,
    Seconds,
    StoreUrl,
    Timeout,
    WebUrl,
    Zone,
    from_json,
    is_loopback,
)


def _not_implemented(_: object) -> object:
    raise ValueError("is not implemented yet; remove it")


NotImplementedYet = Annotated[Any, AfterValidator(_not_implemented)]


class _Group(BaseModel):
    """A group of settings: what stands between `ORDERS_` and `__`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Upstream(_Group):
    """The upstream API, the credential for it, and how it is called. Timeouts are in seconds."""

    allow_http: bool = Field(False, examples=["true"])
    base_url: WebUrl = "https://api.genauth.ai"
    access_key_id: SecretStr = Field(min_length=1, examples=["<access key id>"])
    access_key_secret: SecretStr = Field(min_length=1, examples=["<access key secret>"])
    auth: Literal["token", "signature"] = "token"
    brand: Literal["genauth", "authing"] = "genauth"
    pool_id: PoolId | None = Field(None, examples=["6250f12d5d0000009bcfc784"])
    timezone: Zone = "Asia/Shanghai"
    currency: Currency | None = Field(None, examples=["CNY"])
    ca_file: CertificatesFile | None = Field(None, examples=["/etc/ssl/company-ca.pem"])
    proxy: ProxyUrl | None = Field(None, examples=["http://proxy.internal:3128"])
    connect_timeout: Timeout = 2
    read_timeout: Timeout = 5
    deadline: Timeout = 8
    max_concurrency: int = Field(8, ge=1, le=1000)
    max_rate: int = Field(50, ge=1, le=100_000)
    refresh_rate: float = Field(5, gt=0, le=100_000)

    @field_validator("base_url")
    @classmethod
    def _require_https(cls, value: str, info: ValidationInfo) -> str:
        parts = urlsplit(value)
        allowed = info.data.get("allow_http", True)  # absent if invalid: one error is enough
        if parts.scheme == "http" and not allowed and not is_loopback(parts.hostname or ""):
            raise ValueError(
                f"must start with https:// (or set {env_name('upstream', 'allow_http')}=true)"
            )
        return value


class Cache(_Group):
    """How long a cached answer may be served, in seconds, and how many orders are cached."""

    ttl: Seconds = Field(60, ge=1)
    stale_while_revalidate: Seconds = Field(300, ge=0)
    stale_if_error: Seconds = Field(86400, ge=0, validate_default=True)
    no_cache_min_age: Seconds = Field(5, ge=0)
    max_stale_wait: Timeout = 2
    max_orders: int = Field(100_000, ge=1, le=50_000_000)
    url: StoreUrl | None = Field(None, examples=["rediss://cache.internal:6379/0"])

    @field_validator("stale_if_error")
    @classmethod
    def _cover_stale_while_revalidate(cls, value: float, info: ValidationInfo) -> float:
        # Both count from the end of the TTL (RFC 5861).
        if value < info.data.get("stale_while_revalidate", 0):
            variable = env_name("cache", "stale_while_revalidate")
            raise ValueError(f"must be at least {variable}: both count from the end of the TTL")
        return value


class Callers(_Group):
    """Who may call the API."""

    api_keys: ApiKeyList = Field(
        (),
        examples=['[{"name":"dashboard","sha256":"<64 hex digits>","scopes":["orders:read"]}]'],
    )
    api_keys_file: ApiKeysFile | None = Field(None, examples=["/run/secrets/orders-keys.json"])
    rate: Rate = "6000/minute"
    scan_rate: Rate = "60/minute"
    detail_rate: Rate = "120/minute"
    oidc_issuer: NotImplementedYet = None
    oidc_audience: NotImplementedYet = None
    grants: NotImplementedYet = None
    anonymous: bool = Field(False, validate_default=True, examples=["true"])

    @field_validator("anonymous")
    @classmethod
    def _require_authentication(cls, value: bool, info: ValidationInfo) -> bool:
        # An invalid setting is absent from the data, and has an error of its own.
        configured = (info.data.get(name, "invalid") for name in ("api_keys", "api_keys_file"))
        if not value and not any(configured):
            raise ValueError(
                f"no caller could authenticate: set {env_name('callers', 'api_keys')}"
                f" (`orders-bff keys new NAME` creates an entry) or"
                f" {env_name('callers', 'api_keys_file')}, or allow anonymous callers"
            )
        return value


class Login(_Group):
    """Sign-in in the browser. Not implemented yet: any setting of it is an error."""


class Cors(_Group):
    """Which web pages of other origins may call the API (CORS)."""

    origins: Annotated[tuple[Origin, ...], BeforeValidator(from_json)] = Field(
        (), examples=['["https://dashboard.example.com"]']
    )
    api_keys: bool = Field(False, examples=["true"])


class Server(_Group):
    """The listening socket, its limits and timeouts (in seconds), and the shutdown."""

    host: Host = "127.0.0.1"
    port: Port = 8000
    public_url: WebUrl | None = Field(None, examples=["https://api.example.com/orders"])
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(from_json)] = Field(
        (), examples=['["10.0.0.0/8"]']
    )
    drain_timeout: Seconds = Field(10, ge=0)
    drain_delay: Seconds = Field(0, ge=0, examples=["5"])
    max_connections: int = Field(8192, ge=1, le=1_000_000)
    request_timeout: Timeout = 10
    keep_alive_timeout: Timeout = 75
    send_timeout: Timeout = 60
    max_url_bytes: int = Field(8192, ge=256, le=60_000)
    max_header_bytes: int = Field(65536, ge=1024, le=1_048_576)
    max_headers: int = Field(128, ge=16, le=10_000)
    max_body_bytes: int = Field(65536, ge=0, le=1_048_576)


class Metrics(_Group):
    """The separate listener for /metrics."""

    listen: Listener | None = Field(None, examples=["127.0.0.1:9100"])


class Docs(_Group):
    """The documentation pages: /docs and /openapi.json."""

    enabled: bool = Field(True, examples=["false"])


class Log(_Group):
    """The log on standard output."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = Field("auto", examples=["json"])


NOT_IMPLEMENTED: tuple[tuple[str, ...], ...] = (
    ("name",),
    ("cache", "url"),
    ("callers", "rate"),
    ("callers", "scan_rate"),
    ("callers", "detail_rate"),
    ("metrics", "listen"),
)
"""Settings that are validated but have no effect, because their feature is not implemented yet."""


class Settings(BaseSettings):
    """All settings of one process. Frozen; built by `load` or `for_openapi`.

    Attributes:
        sandbox: every caller has every scope without a key. Set by `serve --sandbox` on a loopback
            address; no variable sets it.
        ignored: variables that are set but ignored by `serve --sandbox`.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_nested_max_split=1,
        # JSON is decoded by the types, so that all errors are reported together.
        enable_decoding=False,
    )

    name: Name = "orders"
    upstream: Upstream
    cache: Cache
    callers: Callers
    login: Login
    cors: Cors
    server: Server
    metrics: Metrics
    docs: Docs
    log: Log
    sandbox: bool = Field(False, exclude=True)
    ignored: tuple[str, ...] = Field((), exclude=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        *_: Any,
        **__: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use the arguments only: `load` is given the environment and reads the sources itself."""
        return (init_settings,)

    @classmethod
    def for_openapi(cls) -> Self:
        """Return the defaults with a placeholder credential, enough to write `openapi.json`."""
        groups: dict[str, Any] = {group: {} for group in cls.group_names()}
        groups["upstream"] = {"access_key_id": "none", "access_key_secret": "none"}
        groups["callers"] = {"anonymous": True}
        return cls(**groups)

    @staticmethod
    def no_valid_key_error() -> SettingsError:
        """Return the error of a start at which no API key is valid and anonymous access is off."""
        message = (
            "no caller could authenticate: every API key has expired, or the file of API keys is"
            " empty; `orders-bff keys new NAME` creates an entry"
        )
        return SettingsError([f"{env_name('callers', 'api_keys')}: {message}"])

    @classmethod
    def group_names(cls) -> tuple[str, ...]:
        """Return the names of the groups: what may stand between `ORDERS_` and `__`."""
        fields = cls.model_fields.items()
        return tuple(name for name, field in fields if field.is_required())

    def anonymous_scopes(self) -> tuple[Scope, ...]:
        """Return the scopes of a caller without a key; none if a key is required."""
        if self.sandbox:
            return SCOPES
        return ("orders:read",) if self.callers.anonymous else ()

    def warnings(self) -> tuple[str, ...]:
        """Return the warnings to log at each start: settings that are unsafe or have no effect."""
        ignored = "is ignored: --sandbox uses the embedded upstream"
        warnings = [f"{name} {ignored}" for name in self.ignored]
        parts = urlsplit(self.upstream.base_url)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            name = env_name("upstream", "base_url")
            warnings.append(f"{name} is http: the credential is sent unencrypted")
        unused = [env_name(*path) for path in NOT_IMPLEMENTED if self._is_set(path)]
        if any(entry.rate for entry in self.callers.api_keys):
            unused.append(f"`rate` in {env_name('callers', 'api_keys')}")
        no_effect = "is set but not implemented yet: it has no effect"
        return (*warnings, *(f"{name} {no_effect}" for name in unused))

    def _is_set(self, path: tuple[str, ...]) -> bool:
        *groups, name = path
        group: BaseModel = getattr(self, groups[0]) if groups else self
        return name in group.model_fields_set
