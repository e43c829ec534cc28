"""`.env.example` documents every setting, and nothing else."""

import re
from pathlib import Path

from app.settings import Settings, find_warnings, load
from app.settings.errors import example_values
from app.settings.sources import SECRETS_DIR

EXAMPLE = Path(__file__).parent.parent / ".env.example"
NAMED = re.compile(r"^#?(ORDERS_[A-Z0-9_]+)=(.*)$", re.MULTILINE)


def test_it_has_every_setting_and_no_other() -> None:
    named = [name for name, _ in NAMED.findall(EXAMPLE.read_text("utf-8"))]
    assert sorted(named) == sorted([*example_values(Settings), SECRETS_DIR])


def test_it_has_the_same_examples_as_error_messages() -> None:
    documented = {name: value for name, value in NAMED.findall(EXAMPLE.read_text("utf-8")) if value}
    del documented[SECRETS_DIR]
    examples = example_values(Settings).items()
    assert documented == {
        name: value for name, value in examples if value and "<access" not in value
    }


def test_every_setting_is_described_with_its_default() -> None:
    text = EXAMPLE.read_text("utf-8")
    for block in text.split("\n\n"):
        if NAMED.search(block):
            assert block.startswith("# "), block
            assert re.search(r"\b([Dd]efaults?|Required)\b", block), block


def test_every_example_is_accepted() -> None:
    """Except two that name files; the credential and the digest of the key are filled in."""
    examples = {
        name: re.sub("<(access|client|output).*>", "filled-in" * 4, value)
        for name, value in example_values(Settings).items()
        if value
    }
    del examples["ORDERS_UPSTREAM__CA_FILE"], examples["ORDERS_CALLERS__API_KEYS_FILE"]
    keys = "ORDERS_CALLERS__API_KEYS"
    examples[keys] = examples[keys].replace("<64 hex digits>", "a" * 64)
    assert load(examples, dotenv=Path("/missing/.env")).upstream.pool_id


def test_the_credential_and_authentication_are_all_that_must_be_filled_in(tmp_path: Path) -> None:
    text = EXAMPLE.read_text("utf-8")
    text = text.replace("ACCESS_KEY_ID=\n", "ACCESS_KEY_ID=id\n")
    text = text.replace("ACCESS_KEY_SECRET=\n", "ACCESS_KEY_SECRET=secret\n")
    text = text.replace("#ORDERS_CALLERS__ANONYMOUS", "ORDERS_CALLERS__ANONYMOUS")
    (tmp_path / ".env").write_text(text, "utf-8")
    settings = load({}, dotenv=tmp_path / ".env")
    assert settings.upstream.access_key_id.get_secret_value() == "id"
    assert find_warnings(settings) == ()
