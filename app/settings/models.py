"""The settings by group, with defaults and bounds.

`.env.example` explains each of them. `app.settings.checks` has what concerns several of them. A
setting whose default would be a useless example has another one in `examples`; a secret has
`repr=False`, and its value is never shown.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.settings.api_keys import SCOPES, ApiKeyConfig, ApiKeyList, LoadedApiKeysFile, Scope
from app.settings.errors import PREFIX, SettingsError, env_name
from app.settings.grants import GrantList
from app.settings.login_types import ClientId, CookieSecrets, OidcScopes
from app.settings.types import (
    AccessKeyPart,
    Age,
    Audience,
    BaseUrl,
    CertificatesFile,
    Currency,
    Host,
    IssuerUrl,
    Listener,
    Name,
    Network,
    Origin,
    OtlpEndpoint,
    PoolId,
    Port,
    ProxyUrl,
    Rate,
    Seconds,
    StoreUrl,
    Timeout,
    Ttl,
    WebUrl,
    Zone,
    from_json,
)


class _Group(BaseModel):
    """A group of settings: what stands between `ORDERS_` and `__`."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        defer_build=True,  # `Settings` validates the groups with itself
    )


class Upstream(_Group):
    """The upstream API, the credential for it, and how it is called. Timeouts are in seconds."""

    allow_http: bool = Field(False, examples=["true"])
    base_url: BaseUrl = "https://api.genauth.ai"
    access_key_id: AccessKeyPart = Field(repr=False, examples=["<access key id>"])
    access_key_secret: AccessKeyPart = Field(repr=False, examples=["<access key secret>"])
    auth: Literal["token", "signature"] = "token"
    brand: Literal["genauth", "authing"] = "genauth"
    pool_id: PoolId | None = Field(None, examples=["6250f12d5d0000009bcfc784"])
    timezone: Zone = "Asia/Shanghai"
    currency: Currency | None = Field(None, examples=["CNY"])
    ca_file: CertificatesFile | None = Field(None, examples=["/etc/ssl/company-ca.pem"])
    proxy: ProxyUrl | None = Field(None, repr=False, examples=["http://proxy.internal:3128"])
    connect_timeout: Timeout = 2
    read_timeout: Timeout = 5
    deadline: Timeout = 8
    max_concurrency: int = Field(8, ge=1, le=1000)
    max_rate: int = Field(50, ge=1, le=100_000)
    refresh_rate: float = Field(5, gt=0, le=100_000)
    max_connection_age: Timeout = 300


class Cache(_Group):
    """How long a cached answer may be served, in seconds, and how many orders are cached."""

    ttl: Ttl = 60
    stale_while_revalidate: Age = 300
    stale_if_error: Age = 86400
    no_cache_min_age: Age = 5
    max_stale_wait: Timeout = 2
    max_orders: int = Field(100_000, ge=1, le=400_000)
    url: StoreUrl | None = Field(None, repr=False, examples=["rediss://cache.internal:6379/0"])


class Callers(_Group):
    """Who may call the API."""

    api_keys: ApiKeyList = Field(
        (),
        repr=False,
        examples=['[{"name":"dashboard","sha256":"<64 hex digits>","scopes":["orders:read"]}]'],
    )
    api_keys_file: LoadedApiKeysFile | None = Field(
        None, examples=["/run/secrets/orders-keys.json"]
    )
    rate: Rate = "6000/minute"
    scan_rate: Rate = "60/minute"
    detail_rate: Rate = "120/minute"
    rate_headers: bool = Field(False, examples=["true"])
    oidc_issuer: IssuerUrl | None = Field(None, examples=["https://login.example.com/oidc"])
    oidc_audience: Audience | None = Field(None, examples=["orders-api"])
    grants: GrantList = Field(
        (), examples=['[{"claim":"roles","value":"billing","scopes":["orders:read"]}]']
    )
    anonymous: bool = Field(False, examples=["true"])


class Login(_Group):
    """Sign-in of people at an OpenID Connect issuer; `lifetime` is in seconds."""

    issuer: IssuerUrl | None = Field(None, examples=["https://login.example.com/oidc"])
    client_id: ClientId | None = Field(None, examples=["orders-dashboard"])
    client_secret: AccessKeyPart | None = Field(
        None, repr=False, examples=["<client secret of the issuer>"]
    )
    cookie_secrets: CookieSecrets = Field(
        (), repr=False, examples=['["<output of openssl rand -hex 32>"]']
    )
    scopes: OidcScopes = "openid profile email"
    lifetime: int = Field(28_800, ge=60, le=2_592_000)


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
    drain_timeout: Seconds = 10
    drain_delay: Seconds = Field(0, examples=["5"])
    max_connections: int = Field(8192, ge=1, le=1_000_000)
    request_timeout: Timeout = 10
    keep_alive_timeout: Timeout = 75
    send_timeout: Timeout = 60
    max_url_bytes: int = Field(8192, ge=256, le=60_000)
    max_header_bytes: int = Field(65536, ge=1024, le=1_048_576)
    max_headers: int = Field(128, ge=16, le=10_000)
    max_body_bytes: int = Field(65536, ge=0, le=1_048_576)
    max_exports: int = Field(8, ge=1, le=1000)
    min_send_rate: int = Field(1024, ge=1, le=1_073_741_824)
    replay: bool = Field(True, examples=["false"])


class Metrics(_Group):
    """The separate listener for /metrics."""

    listen: Listener | None = Field(None, examples=["127.0.0.1:9100"])


class Tracing(_Group):
    """Where spans are sent."""

    endpoint: OtlpEndpoint | None = Field(None, examples=["http://collector.internal:4318"])


class Dashboard(_Group):
    """The page /dashboard."""

    enabled: bool = Field(False, examples=["true"])


class Docs(_Group):
    """The documentation pages: /docs and /openapi.json."""

    enabled: bool = Field(True, examples=["false"])


class Log(_Group):
    """The log on standard output."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = Field("auto", examples=["json"])


class Settings(BaseSettings):
    """All settings of one process. Frozen; built by `load` or `for_openapi`.

    Attributes:
        sandbox: every caller has every scope without a key. Set by `serve --sandbox` on a loopback
            address; no variable sets it.
        source_warnings: what has no effect in the sources, such as names that are no setting.
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
    tracing: Tracing
    dashboard: Dashboard
    docs: Docs
    log: Log
    sandbox: bool = Field(False, exclude=True)
    source_warnings: tuple[str, ...] = Field((), exclude=True)

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

    def api_keys(self) -> tuple[ApiKeyConfig, ...]:
        """Return all API keys: those that are configured directly, and those in the file."""
        file = self.callers.api_keys_file
        return (*self.callers.api_keys, *(file.entries if file else ()))

    def issuers(self) -> tuple[str, ...]:
        """Return the configured issuers, each once."""
        issuers = (self.callers.oidc_issuer, self.login.issuer)
        return tuple(dict.fromkeys(issuer for issuer in issuers if issuer))

    def is_set(self, *path: str) -> bool:
        """Return whether a setting, as `"cache", "ttl"`, has been set and not its default."""
        *groups, name = path
        group: BaseModel = getattr(self, groups[0]) if groups else self
        return name in group.model_fields_set
