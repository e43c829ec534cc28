"""The sources: files as editors and orchestrators write them, and names that are no setting."""

import codecs
import os
from pathlib import Path

import pytest

from app.settings import Settings, SettingsError, find_warnings, load
from app.settings.errors import example_values
from app.settings.names import RENAMED
from app.settings.sources import MAX_ERRORS
from tests.settings.support import CANARY, NO_FILE, REQUIRED, errors_of, settings_of, write

NAME = "ORDERS_UPSTREAM__POOL_ID"


def load_dotenv(directory: Path, content: str | bytes, **environ: str) -> Settings:
    """Return the settings with this content of `.env`."""
    path = directory / ".env"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load(REQUIRED | environ, dotenv=path)


def dotenv_errors(directory: Path, content: str | bytes) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as raised:
        load_dotenv(directory, content)
    return raised.value.messages


def load_secrets(directory: Path) -> Settings:
    return load(REQUIRED | {"ORDERS_SECRETS_DIR": str(directory)}, dotenv=NO_FILE)


def secret_errors(directory: Path) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as raised:
        load_secrets(directory)
    return raised.value.messages


# .env


def test_dotenv_may_name_the_secrets_directory(tmp_path: Path) -> None:
    write(tmp_path / "ORDERS_NAME", "from-a-file\n")
    assert load_dotenv(tmp_path, f"ORDERS_SECRETS_DIR={tmp_path}\n").name == "from-a-file"


def test_dotenv_values_are_not_expanded(tmp_path: Path) -> None:
    dotenv = write(tmp_path / ".env", "ORDERS_UPSTREAM__ACCESS_KEY_SECRET=a${HOME}b\n")
    environ = {name: value for name, value in REQUIRED.items() if "SECRET" not in name}
    secret = load(environ, dotenv=dotenv).upstream.access_key_secret
    assert secret.get_secret_value() == "a${HOME}b"


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + b"ORDERS_NAME=shop\n",
        b"ORDERS_NAME=shop\r\nORDERS_CACHE__TTL=9\r\n",
        b"ORDERS_NAME=shop  \n",
        b"ORDERS_NAME = 'shop'\n",
        b'export ORDERS_NAME="shop"  # a comment\n',
        b"\n# comment\nORDERS_NAME=shop",
        b"OTHER_PROGRAM=1\nORDERS_NAME=\nORDERS_NAME=shop\nORDERS_NAME=\n",
    ],
)
def test_dotenv_is_read_as_editors_write_it(content: bytes, tmp_path: Path) -> None:
    settings = load_dotenv(tmp_path, content)
    assert settings.name == "shop"
    assert not any("OTHER_PROGRAM" in warning for warning in find_warnings(settings))


@pytest.mark.parametrize(
    "line",
    ["canary-7f3a", "ORDERS_NAME: canary-7f3a", "set ORDERS_NAME=canary-7f3a", "ORDERS_NAME"],
)
def test_a_line_of_dotenv_that_is_no_setting_is_an_error_without_its_content(
    line: str, tmp_path: Path
) -> None:
    content = f"# comment\r\n\r\n{line}\r\nORDERS_NAME=shop\r\n{line}\r\n"
    assert dotenv_errors(tmp_path, content) == (
        ".env, line 3: must be NAME=value",
        ".env, line 5: must be NAME=value",
    )


def test_a_file_of_something_else_instead_of_dotenv_is_a_bounded_number_of_errors(
    tmp_path: Path,
) -> None:
    assert len(dotenv_errors(tmp_path, "ORDERS_X=1\n" * 1000 + "{\n" * 1000)) == MAX_ERRORS


def test_a_variable_that_is_set_twice_in_dotenv_is_an_error(tmp_path: Path) -> None:
    assert dotenv_errors(tmp_path, "ORDERS_NAME=a\n\nORDERS_NAME=b\n") == (
        "ORDERS_NAME (.env, line 3): is set twice; also on line 1",
    )


@pytest.mark.parametrize("content", [b"ORDERS_NAME=\xff", "ORDERS_NAME=a".encode("utf-16"), b"\0"])
def test_dotenv_of_another_encoding_is_an_error(content: bytes, tmp_path: Path) -> None:
    assert dotenv_errors(tmp_path, content) == (".env: must be UTF-8 text",)


def test_a_directory_instead_of_dotenv_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        load(REQUIRED, dotenv=tmp_path)
    assert raised.value.messages == (f"{tmp_path.name}: must be a regular file",)


# Secret files


@pytest.mark.parametrize("content", [b"pool", b"pool\n", codecs.BOM_UTF8 + b"pool \r\n\r\n"])
def test_a_secret_file_is_read_as_editors_write_it(content: bytes, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert load_secrets(tmp_path).upstream.pool_id == "pool"


def test_an_empty_secret_file_is_not_set(tmp_path: Path) -> None:
    write(tmp_path / NAME, "\n")
    assert load_secrets(tmp_path).upstream.pool_id is None


def test_a_secret_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ORDERS_NAME").mkdir()
    (tmp_path / NAME).write_bytes("pool".encode("utf-16"))
    os.mkfifo(tmp_path / "ORDERS_CACHE__TTL")
    (tmp_path / "ORDERS_CACHE__MAX_ORDERS").symlink_to("/dev/zero")
    (tmp_path / "ORDERS_LOG__LEVEL").symlink_to("missing")
    write(tmp_path / "ORDERS_LOG__FORMAT", "x" * 1_048_577)
    assert secret_errors(tmp_path) == (
        "ORDERS_CACHE__MAX_ORDERS (secret file ORDERS_CACHE__MAX_ORDERS): must be a regular file",
        "ORDERS_CACHE__TTL (secret file ORDERS_CACHE__TTL): must be a regular file",
        "ORDERS_LOG__FORMAT (secret file ORDERS_LOG__FORMAT): must not be larger than 1 MiB",
        "ORDERS_LOG__LEVEL (secret file ORDERS_LOG__LEVEL): does not exist",
        "ORDERS_NAME (secret file ORDERS_NAME): must be a regular file",
        f"{NAME} (secret file {NAME}): must be UTF-8 text",
    )


def test_other_files_may_be_in_the_secrets_directory(tmp_path: Path) -> None:
    for name in ("..data", ".ORDERS_NAME.swp", "tls.key", "orders-keys.json", "orders_keys.json"):
        write(tmp_path / name, CANARY)
    settings = load_secrets(tmp_path)
    assert find_warnings(settings) == (
        "ORDERS_SECRETS_DIR (environment) has no file named ORDERS_…",
    )


@pytest.mark.parametrize(
    "name", [f"{NAME}.txt", f"{NAME}~", NAME.lower(), "ORDERS_UPSTREAM_POOL_ID"]
)
def test_a_misspelt_secret_file_is_an_error_that_suggests_the_name(
    name: str, tmp_path: Path
) -> None:
    write(tmp_path / name, CANARY)
    assert secret_errors(tmp_path) == (
        f"{name} (secret file {name}): is not a setting; did you mean {NAME}?",
    )


def test_a_secret_file_that_another_source_overrides_has_no_effect(tmp_path: Path) -> None:
    name = "ORDERS_UPSTREAM__ACCESS_KEY_SECRET"
    write(tmp_path / name, CANARY)
    assert find_warnings(load_secrets(tmp_path)) == (
        f"{name} (secret file {name}) has no effect: environment has precedence",
    )


# The environment


@pytest.mark.parametrize("empty", ["", "  ", "\n"])
def test_an_empty_variable_is_not_set(empty: str, tmp_path: Path) -> None:
    content = "ORDERS_CACHE__TTL=7\nORDERS_CACHE__STALE_WHILE_REVALIDATE=\n"
    environ = {"ORDERS_CACHE__TTL": empty, "ORDERS_CALLERS__GRANTS": empty, "ORDERS_X": empty}
    settings = load_dotenv(tmp_path, content, **environ)
    assert (settings.cache.ttl, settings.cache.stale_while_revalidate) == (7, 300)
    assert find_warnings(settings) == ()


def test_a_carriage_return_at_the_end_of_a_variable_is_ignored() -> None:
    """Container engines keep it, if the file of variables was edited on Windows."""
    assert settings_of(NAME="shop\r").name == "shop"


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_value_in_quotes_is_an_error(quote: str) -> None:
    """Container engines keep the quotes in a file of variables."""
    values = {"UPSTREAM__ACCESS_KEY_SECRET": CANARY, "CACHE__TTL": "60"}
    assert errors_of(**{name: f"{quote}{value}{quote}" for name, value in values.items()}) == (
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET (environment): must not be enclosed in quotes",
        "ORDERS_CACHE__TTL (environment): must not be enclosed in quotes",
    )


# Names that are no setting


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("PORT", "ORDERS_SERVER__PORT"),
        ("TTL", "ORDERS_CACHE__TTL"),
        ("UPSTRAEM__BASE_URL", "ORDERS_UPSTREAM__BASE_URL"),
        ("UPSTRAEM__WHATEVER", "ORDERS_UPSTREAM__…"),
        ("UPSTREAM_ACCESS_KEY_ID", "ORDERS_UPSTREAM__ACCESS_KEY_ID"),
        ("_CACHE__TTL", "ORDERS_CACHE__TTL"),
        ("cache_ttl", "ORDERS_CACHE__TTL"),
        ("NAMES", "ORDERS_NAME"),
    ],
)
def test_a_misspelt_variable_is_warned_about_with_the_nearest_name(name: str, nearest: str) -> None:
    assert find_warnings(settings_of(**{name: "1"})) == (
        f"ORDERS_{name} (environment) is not a setting; did you mean {nearest}?",
    )


def test_a_name_like_no_setting_is_warned_about() -> None:
    assert find_warnings(settings_of(FOO="1")) == ("ORDERS_FOO (environment) is not a setting",)


@pytest.mark.parametrize("name", ["ORDER_CACHE__TTL", "CACHE__TTL", "ODERS_UPSTREAM__BASE_URL"])
def test_a_variable_without_the_right_prefix_is_warned_about(name: str) -> None:
    (warning,) = find_warnings(load(REQUIRED | {name: "1", "OTHER__X": "1"}, dotenv=NO_FILE))
    assert warning.startswith(f"{name} (environment) is not a setting; did you mean ORDERS_")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("CACHE__TLL", "is not a setting; did you mean ORDERS_CACHE__TTL?"),
        ("LOG__ZZZZZZZZZ", "is not a setting"),
        ("SERVER__REPLAYS", "is not a setting; did you mean ORDERS_SERVER__REPLAY?"),
        ("SERVER__DRAINTIME", "is not a setting; did you mean ORDERS_SERVER__DRAIN_TIMEOUT?"),
        ("CACHE__TTL__X", "is not a setting; did you mean ORDERS_CACHE__TTL?"),
        ("cache__ttl", "is not a setting; did you mean ORDERS_CACHE__TTL?"),
        ("LOGIN__CLIENT", "is not a setting; did you mean ORDERS_LOGIN__CLIENT_ID?"),
    ],
)
def test_a_misspelt_variable_in_a_group_is_an_error(name: str, message: str) -> None:
    assert errors_of(**{name: CANARY}) == (f"ORDERS_{name} (environment): {message}",)


def test_a_value_that_is_not_utf8_is_an_error() -> None:
    (error,) = errors_of(CACHE__TTL="\udcff")
    assert error.startswith("ORDERS_CACHE__TTL (environment): must be UTF-8 text")


def test_any_unknown_name_in_dotenv_is_an_error(tmp_path: Path) -> None:
    assert dotenv_errors(tmp_path, "ORDERS_PORT=1\nORDERS_FOO=\nodd=1\n") == (
        "ORDERS_PORT (.env, line 1): is not a setting; did you mean ORDERS_SERVER__PORT?",
        "ORDERS_FOO (.env, line 2): is not a setting",
    )


def test_variables_that_kubernetes_sets_for_a_service_are_one_warning() -> None:
    injected = {
        "BFF_PORT": "tcp://10.0.0.1:80",
        "BFF_PORT_80_TCP_ADDR": "10.0.0.1",
        "BFF_SERVICE_HOST": "10.0.0.1",
        "BFF_SERVICE_PORT": "80",
    }
    names = ", ".join(f"ORDERS_{name}" for name in injected)
    assert find_warnings(settings_of(**injected)) == (
        f"{names} (environment): no settings; Kubernetes sets them for a service",
    )


@pytest.mark.parametrize("source", ["environment", ".env, line 1", "secret file"])
@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_an_error_with_the_new_name(
    old: str, new: str, source: str, tmp_path: Path
) -> None:
    environ, dotenv = dict(REQUIRED), tmp_path / ".env"
    if source == "environment":
        environ[old] = "5"
    elif source == "secret file":
        source += f" {old}"
        write(tmp_path / old, "5\n")
        environ["ORDERS_SECRETS_DIR"] = str(tmp_path)
    else:
        write(dotenv, f"{old}=5\n")
    with pytest.raises(SettingsError) as raised:
        load(environ, dotenv=dotenv)
    assert raised.value.messages == (f"{old} ({source}): has been renamed to {new}",)
    assert new in example_values(Settings)
