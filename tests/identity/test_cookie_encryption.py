"""Cookies are encrypted and authenticated; secrets can be rotated."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from joserfc import jwe
from joserfc.jwk import OctKey

from app.identity.cookie_encryption import MAX_COOKIE_BYTES, CookieEncryption, CookieTooLarge

OLD, NEW, OTHER = ("old" * 11, "new" * 11, "other" * 7)
PAYLOAD = {"sub": "canary-subject", "name": "企业"}


def test_a_cookie_shows_nothing_and_is_read_back() -> None:
    encryption = CookieEncryption([NEW], "session")
    value = encryption.encrypt(PAYLOAD)

    assert encryption.decrypt(value.encode()) == PAYLOAD
    parts = [urlsafe_b64decode(part + "==") for part in value.split(".")]
    assert all(b"canary" not in part for part in parts)
    assert encryption.encrypt(PAYLOAD) != value


def test_a_secret_is_replaced_without_ending_what_the_old_one_encrypted() -> None:
    before = CookieEncryption([OLD], "session").encrypt(PAYLOAD).encode()
    during = CookieEncryption([NEW, OLD], "session")
    after = CookieEncryption([NEW], "session")

    assert during.decrypt(before) == PAYLOAD
    assert after.decrypt(during.encrypt(PAYLOAD).encode()) == PAYLOAD
    assert after.decrypt(before) is None


def test_a_value_for_another_purpose_is_not_accepted() -> None:
    value = CookieEncryption([NEW], "login").encrypt(PAYLOAD).encode()
    assert CookieEncryption([NEW], "session").decrypt(value) is None


def test_a_changed_value_is_not_accepted() -> None:
    encryption = CookieEncryption([NEW], "session")
    value = encryption.encrypt(PAYLOAD)
    parts = value.split(".")
    for number in (0, 2, 3, 4):
        raw = bytearray(urlsafe_b64decode(parts[number] + "=="))
        raw[0] ^= 1
        changed = urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
        forged = ".".join([*parts[:number], changed, *parts[number + 1 :]])
        assert encryption.decrypt(forged.encode()) is None, number


@pytest.mark.parametrize(
    "value",
    [b"", b"x", b"a.b.c", b"....", b"eyJhbGciOiJub25lIn0....", b"\xff.\xff.\xff.\xff.\xff"],
    ids=ascii,
)
def test_anything_else_is_not_accepted(value: bytes) -> None:
    assert CookieEncryption([NEW], "session").decrypt(value) is None


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "dir", "enc": []},
        {"alg": "dir", "enc": "A256GCM", "crit": 1},
        {"alg": "dir", "enc": "A256GCM", "crit": [[]]},
        ["alg", "enc"],
        "alg enc",
    ],
    ids=json.dumps,
)
def test_a_header_that_is_not_ours_is_not_accepted(header: object) -> None:
    encryption = CookieEncryption([NEW], "session")
    _, _, rest = encryption.encrypt(PAYLOAD).partition(".")
    other = urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=")
    assert encryption.decrypt(other + b"." + rest.encode()) is None


def test_another_algorithm_is_not_accepted() -> None:
    key = OctKey.import_key(OTHER[:32])
    header = {"alg": "A256KW", "enc": "A256GCM"}
    value = jwe.encrypt_compact(header, b"{}", key, algorithms=["A256KW", "A256GCM"])
    assert CookieEncryption([OTHER], "session").decrypt(value.encode()) is None


def test_a_value_that_browsers_would_drop_is_an_error() -> None:
    encryption = CookieEncryption([NEW], "session")
    with pytest.raises(CookieTooLarge):
        encryption.encrypt({"claims": "x" * MAX_COOKIE_BYTES})
    assert encryption.decrypt(b"x" * (MAX_COOKIE_BYTES + 1)) is None
