"""What is held is bounded in number and in weight."""

from app.cache.lru import LruStore


def store(entries: int = 10, size: int = 100) -> LruStore[str, str]:
    return LruStore(max_entries=entries, max_bytes=size, size_of=len)


def test_the_least_lately_used_goes_first():
    held = store(entries=2)
    held.put("a", "1")
    held.put("b", "2")
    assert held.get("a") == "1"
    held.put("c", "3")
    assert held.get("b") is None
    assert dict(held.items()) == {"a": "1", "c": "3"}


def test_a_look_at_all_counts_as_no_use():
    held = store(entries=2)
    held.put("a", "1")
    held.put("b", "2")
    assert held.get("a") == "1"
    assert held.items() == [("a", "1"), ("b", "2")]
    held.put("c", "3")
    assert dict(held.items()) == {"a": "1", "c": "3"}


def test_what_is_heavy_pushes_others_out():
    held = store(size=10)
    held.put("a", "12345")
    held.put("b", "1234567")
    assert held.get("a") is None
    assert len(held) == 1


def test_what_is_heavier_than_all_together_is_not_held_and_replaces_what_was():
    held = store(size=10)
    held.put("a", "1")
    held.put("a", "x" * 11)
    assert held.get("a") is None


def test_what_is_dropped_is_gone():
    held = store()
    held.put("a", "1")
    held.remove("a")
    held.remove("never there")
    assert held.get("a") is None
