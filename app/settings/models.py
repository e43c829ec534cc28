"""The settings, group by group, with unit, default and bounds. Knows not where a value comes from.

A knob that is judged by another stands below it: `info.data` holds what stands above.
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
from pydantic_settings import BaseSettings, InitSettingsSource, SettingsConfigDict

from app.settings.api_keys import SCOPES, ApiKeyList, KeysFile, Scope
from app.settings.errors import PREFIX, SettingsError, env_name
from app.settings.types import (
    CertificatesFile,
    Host,
    Listener,
    Network,
    Origin,
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


def _not_built(_: object) -> object:
    raise ValueError("is not built yet; unset it")


NotImplementedYet = Annotated[Any, AfterValidator(_not_built)]


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Upstream(_Group):
    """The API we call, and who we are to it."""

    allow_http: bool = Field(False, examples=["true"])
    base_url: WebUrl = Field("https://api.genauth.ai", examples=["https://api.genauth.ai"])
    access_key_id: SecretStr = Field(min_length=1, examples=["<access key id>"])
    access_key_secret: SecretStr = Field(min_length=1, examples=["<access key secret>"])
    auth: Literal["token", "signature"] = Field("token", examples=["token"])
    brand: Literal["genauth", "authing"] = Field("genauth", examples=["genauth"])
    pool_id: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["6250f12d5d0000009bcfc784"]
    )
    timezone: Zone = Field("Asia/Shanghai", examples=["Asia/Shanghai"])
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", examples=["CNY"])
    ca_file: CertificatesFile | None = Field(None, examples=["/etc/ssl/company-ca.pem"])
    proxy: ProxyUrl | None = Field(None, examples=["http://proxy.internal:3128"])
    connect_timeout: Timeout = Field(2, examples=["2"])
    read_timeout: Timeout = Field(5, examples=["5"])
    deadline: Timeout = Field(8, examples=["8"])
    max_concurrency: int = Field(8, ge=1, le=1000, examples=["8"])
    max_rate: int = Field(50, ge=1, le=100_000, examples=["50"])
    refresh_rate: float = Field(5, gt=0, le=100_000, examples=["5"])

    @field_validator("base_url")
    @classmethod
    def _https(cls, value: str, info: ValidationInfo) -> str:
        parts = urlsplit(value)
        allowed = info.data.get("allow_http", True)  # absent: its own fault is told instead
        if parts.scheme == "http" and not allowed and not is_loopback(parts.hostname or ""):
            raise ValueError(
                f"should start with https:// (or set {env_name('upstream', 'allow_http')}=true)"
            )
        return value


class Cache(_Group):
    """How long what is held is fresh, stale and kept, in seconds; and how much is held."""

    ttl: Seconds = Field(60, ge=1, examples=["60"])
    stale_while_revalidate: Seconds = Field(300, ge=0, examples=["300"])
    stale_if_error: Seconds = Field(86400, ge=0, examples=["86400"])
    no_cache_min_age: Seconds = Field(5, ge=0, examples=["5"])
    max_stale_wait: Timeout = Field(2, examples=["2"])
    max_orders: int = Field(100_000, ge=1, le=50_000_000, examples=["100000"])
    url: StoreUrl | None = Field(None, examples=["rediss://cache.internal:6379/0"])


class Callers(_Group):
    """Who may ask."""

    api_keys: ApiKeyList = Field(
        (),
        examples=['[{"name":"dashboard","sha256":"<64 hex digits>","scopes":["orders:read"]}]'],
    )
    api_keys_file: KeysFile | None = Field(None, examples=["/run/secrets/orders-keys.json"])
    rate: Rate = Field("6000/minute", examples=["6000/minute"])
    scan_rate: Rate = Field("60/minute", examples=["60/minute"])
    detail_rate: Rate = Field("120/minute", examples=["120/minute"])
    oidc_issuer: NotImplementedYet = None
    oidc_audience: NotImplementedYet = None
    grants: NotImplementedYet = None
    anonymous: bool = Field(False, validate_default=True, examples=["true"])

    @field_validator("anonymous")
    @classmethod
    def _somebody_may_ask(cls, value: bool, info: ValidationInfo) -> bool:
        given = (info.data.get(name, "faulty") for name in ("api_keys", "api_keys_file"))
        if not value and not any(given):
            raise ValueError(
                f"nobody could be let in: set {env_name('callers', 'api_keys')}"
                f" (`orders-bff keys new NAME` makes one) or"
                f" {env_name('callers', 'api_keys_file')}, or let everyone in"
            )
        return value


class Login(_Group):
    """Login in the browser: not built yet, so it has no settings, and any is refused."""


class Cors(_Group):
    """Which browsers' pages may ask."""

    origins: Annotated[tuple[Origin, ...], BeforeValidator(from_json)] = Field(
        (), examples=['["https://dashboard.example.com"]']
    )
    api_keys: bool = Field(True, examples=["false"])


class Server(_Group):
    """Where we listen, and how we stop."""

    host: Host = Field("127.0.0.1", examples=["127.0.0.1"])
    port: Port = Field(8000, examples=["8000"])
    public_url: WebUrl | None = Field(None, examples=["https://api.example.com/orders"])
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(from_json)] = Field(
        (), examples=['["10.0.0.0/8"]']
    )
    drain_timeout: Seconds = Field(10, ge=0, examples=["10"])
    drain_delay: Seconds = Field(0, ge=0, examples=["5"])
    max_connections: int = Field(8192, ge=1, le=1_000_000, examples=["8192"])
    request_timeout: Timeout = Field(10, examples=["10"])
    keep_alive_timeout: Timeout = Field(75, examples=["75"])
    send_timeout: Timeout = Field(60, examples=["60"])
    max_url_bytes: int = Field(8192, ge=256, le=60_000, examples=["8192"])
    max_header_bytes: int = Field(65536, ge=1024, le=1_048_576, examples=["65536"])
    max_headers: int = Field(128, ge=16, le=10_000, examples=["128"])
    max_body_bytes: int = Field(65536, ge=0, le=1_048_576, examples=["65536"])


class Metrics(_Group):
    """A listener of its own for /metrics."""

    listen: Listener | None = Field(None, examples=["127.0.0.1:9100"])


class Docs(_Group):
    """The pages for people: /docs, /openapi.json and the like."""

    enabled: bool = Field(True, examples=["false"])


class Log(_Group):
    """What is written to standard output, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", examples=["info"])
    format: Literal["auto", "json", "text"] = Field("auto", examples=["json"])


NOT_IMPLEMENTED: tuple[tuple[str, str], ...] = (
    ("cache", "url"),
    ("callers", "rate"),
    ("callers", "scan_rate"),
    ("callers", "detail_rate"),
    ("metrics", "listen"),
)
"""Known and judged, but without effect until what they steer is built."""


class Settings(BaseSettings):
    """All settings of one proxy. Made by `load`, or by `documented`; frozen."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, env_prefix=PREFIX
    )

    name: str = Field("orders", pattern=r"^[A-Za-z0-9._-]{1,64}$", examples=["orders"])
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
    """Set by `serve --sandbox` on loopback, by no variable: every scope without a key."""

    @classmethod
    def for_openapi(cls) -> Self:
        """The defaults, with a credential that is none: enough to write the OpenAPI document."""
        groups: dict[str, Any] = {group: {} for group in cls.group_names()}
        groups["upstream"] = {"access_key_id": "none", "access_key_secret": "none"}
        groups["callers"] = {"anonymous": True}
        return cls(_build_sources=((InitSettingsSource(cls, groups),), {}))

    @staticmethod
    def no_valid_key_error() -> SettingsError:
        """The refusal of a start at which each key that there is has expired, or there is none."""
        told = (
            "nobody could be let in: no key is good now (all have expired, or the file of keys"
            " has none); `orders-bff keys new NAME` makes one"
        )
        return SettingsError([f"{env_name('callers', 'api_keys')}: {told}"])

    @classmethod
    def group_names(cls) -> tuple[str, ...]:
        """The names of the groups: what may stand between `ORDERS_` and `__`."""
        fields = cls.model_fields.items()
        return tuple(name for name, field in fields if field.is_required())

    def anonymous_scopes(self) -> tuple[Scope, ...]:
        """What a caller without a key may do; empty where nobody may ask without one."""
        if self.sandbox:
            return SCOPES
        return ("orders:read",) if self.callers.anonymous else ()

    def idle(self) -> tuple[str, ...]:
        """A line for each setting that is set and does nothing yet."""
        return tuple(
            f"{env_name(group, name)} is set, but does nothing yet"
            for group, name in NOT_IMPLEMENTED
            if name in getattr(self, group).model_fields_set
        )

    def warnings(self) -> tuple[str, ...]:
        """What to say at each start: a credential sent in clear, and the idle settings."""
        parts = urlsplit(self.upstream.base_url)
        in_clear = parts.scheme == "http" and not is_loopback(parts.hostname or "")
        told = f"{env_name('upstream', 'base_url')} is http: the credential travels in clear"
        return (*((told,) if in_clear else ()), *self.idle())
