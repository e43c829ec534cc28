"""Types of the settings of sign-in. Their error messages do not repeat the value."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr

from app.settings.types import AccessKeyPart, from_json, matches

MIN_SECRET_CHARS = 32


def _check_secrets(secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    values = [secret.get_secret_value() for secret in secrets]
    if any(len(value) < MIN_SECRET_CHARS for value in values):
        raise ValueError(
            f"each must have at least {MIN_SECRET_CHARS} characters:"
            " `openssl rand -hex 32` prints one"
        )
    if len(set(values)) < len(values):
        raise ValueError("must have each secret once")
    return secrets


CookieSecrets = Annotated[
    tuple[AccessKeyPart, ...], BeforeValidator(from_json), AfterValidator(_check_secrets)
]
ClientId = Annotated[
    str, matches(r"[!-~]{1,255}", "must be 1 to 255 printable ASCII characters without spaces")
]
OidcScopes = Annotated[
    str,
    matches(
        r"(?:[!-~]+ )*openid(?: [!-~]+)*",
        "must be names separated by single spaces, with openid among them",
    ),
]
