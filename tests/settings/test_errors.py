"""Error messages show the value, but never a secret."""

import pytest
from pydantic import ValidationError

from tests.settings.support import CANARY, errors_of, settings_of


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UPSTREAM__ACCESS_KEY_ID", f"{CANARY} x"),
        ("UPSTREAM__ACCESS_KEY_SECRET", f"{CANARY}é"),
        ("UPSTREAM__PROXY", CANARY),
        ("UPSTREAM__PROXY", f"http://user:{CANARY}@proxy/path"),
        ("CACHE__URL", f"https://:{CANARY}@store"),
        ("CALLERS__API_KEYS", CANARY),
        ("CALLERS__API_KEYS", f'["{CANARY}"]'),
        ("UPSTREAM__BASE_URL", f"https://user:{CANARY}@api.genauth.ai"),
    ],
)
def test_the_value_of_a_secret_is_not_shown(name: str, value: str) -> None:
    (error,) = errors_of(**{name: value})
    assert error.startswith(f"ORDERS_{name} (environment): ")
    assert CANARY not in error
    assert "Value" not in error


def test_a_secret_in_the_wrong_variable_is_not_shown() -> None:
    secret = f"{CANARY}-secret"
    errors = errors_of(
        UPSTREAM__ACCESS_KEY_SECRET=secret,
        UPSTREAM__POOL_ID=f"{secret}!",
        UPSTREAM__CURRENCY="9f8e7d6c5b4a39281706fedcba012345",
        NAME="obff_key!",
    )
    assert len(errors) == 3
    assert "Value" not in "".join(errors)


def test_a_long_value_is_cut() -> None:
    (error,) = errors_of(NAME="x" * 1000)
    assert f"Value: '{'x' * 59}…. Example" in error


def test_a_value_cannot_control_the_terminal() -> None:
    (error,) = errors_of(NAME="a\x1b[2J\u202eb")
    assert r"Value: 'a\x1b[2J\u202eb'. Example" in error


def test_printed_settings_show_no_secret() -> None:
    settings = settings_of(
        UPSTREAM__ACCESS_KEY_ID=CANARY,
        UPSTREAM__ACCESS_KEY_SECRET=CANARY,
        UPSTREAM__PROXY=f"http://user:{CANARY}@proxy:3128",
        CACHE__URL=f"rediss://:{CANARY}@store:6379/0",
    )
    assert CANARY not in f"{settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert settings.upstream.proxy is not None
    assert settings.upstream.proxy.get_secret_value() == f"http://user:{CANARY}@proxy:3128"


def test_settings_are_frozen() -> None:
    settings = settings_of()
    with pytest.raises(ValidationError):
        setattr(settings, "name", "other")  # noqa: B010 - mypy refuses the plain form, as it should
    with pytest.raises(ValidationError):
        setattr(settings.cache, "ttl", 1)  # noqa: B010 - as above
