"""`.env.example` is the manual of the settings: it names each of them, and no other."""

import re
from pathlib import Path

from app.settings import Settings, load
from app.settings.errors import example_values
from app.settings.sources import SECRETS_DIR

EXAMPLE = Path(__file__).parent.parent / ".env.example"
NAMED = re.compile(r"^#?(ORDERS_[A-Z0-9_]+)=(.*)$", re.MULTILINE)


def test_it_names_exactly_the_settings() -> None:
    named = [name for name, _ in NAMED.findall(EXAMPLE.read_text("utf-8"))]
    assert sorted(named) == sorted([*example_values(Settings), SECRETS_DIR])


def test_it_gives_the_example_that_a_fault_gives() -> None:
    given = {name: value for name, value in NAMED.findall(EXAMPLE.read_text("utf-8")) if value}
    known = {
        name: value for name, value in example_values(Settings).items() if "<access" not in value
    }
    assert {name: value for name, value in known.items() if value} == {
        name: value for name, value in given.items() if name != SECRETS_DIR
    }


def test_each_setting_has_a_sentence_above_it() -> None:
    text = EXAMPLE.read_text("utf-8")
    for block in text.split("\n\n"):
        if NAMED.search(block):
            assert block.startswith("# "), block


def test_every_example_is_accepted() -> None:
    """Two name files of the reader's own, and a digest is left to be filled in."""
    given = {name: value for name, value in example_values(Settings).items() if value}
    del given["ORDERS_UPSTREAM__CA_FILE"], given["ORDERS_CALLERS__API_KEYS_FILE"]
    keys = "ORDERS_CALLERS__API_KEYS"
    given[keys] = given[keys].replace("<64 hex digits>", "a" * 64)
    assert load(given, dotenv=Path("/nowhere/.env")).upstream.pool_id


def test_the_two_required_ones_and_a_way_in_are_all_it_takes(tmp_path: Path) -> None:
    text = EXAMPLE.read_text("utf-8")
    text = text.replace("ACCESS_KEY_ID=\n", "ACCESS_KEY_ID=id\n")
    text = text.replace("ACCESS_KEY_SECRET=\n", "ACCESS_KEY_SECRET=secret\n")
    text = text.replace("#ORDERS_CALLERS__ANONYMOUS", "ORDERS_CALLERS__ANONYMOUS")
    (tmp_path / ".env").write_text(text, "utf-8")
    settings = load({}, dotenv=tmp_path / ".env")
    assert settings.upstream.access_key_id.get_secret_value() == "id"
    assert settings.warnings() == ()
