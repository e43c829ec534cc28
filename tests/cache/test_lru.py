"""The store is bounded in number and size, and evicts the least recently used."""

from app.cache.lru import LruStore, Usage


def make_store(*, max_entries: int = 10, max_bytes: int = 100) -> LruStore[str, str]:
    return LruStore(max_entries=max_entries, max_bytes=max_bytes, size_of=len)


def test_the_least_recently_used_value_is_evicted():
    store = make_store(max_entries=2)
    store.put("a", "1")
    store.put("b", "2")
    assert store.get("a") == "1"
    store.put("c", "3")
    assert store.get("b") is None
    assert dict(store.items()) == {"a": "1", "c": "3"}


def test_listing_the_items_does_not_count_as_a_use():
    store = make_store(max_entries=2)
    store.put("a", "1")
    store.put("b", "2")
    assert store.get("a") == "1"
    assert store.items() == [("a", "1"), ("b", "2")]
    store.put("c", "3")
    assert dict(store.items()) == {"a": "1", "c": "3"}


def test_a_large_value_evicts_others():
    store = make_store(max_bytes=10)
    store.put("a", "12345")
    store.put("b", "1234567")
    assert store.get("a") is None
    assert store.items() == [("b", "1234567")]


def test_a_value_larger_than_the_store_is_not_stored_and_its_predecessor_is_removed():
    store = make_store(max_bytes=10)
    store.put("a", "1")
    store.put("a", "x" * 11)
    assert store.get("a") is None


def test_without_size_of_only_the_number_of_values_is_bounded():
    store: LruStore[int, str] = LruStore(max_entries=3)
    for key in range(5):
        store.put(key, "x" * 1000)
    assert [key for key, _ in store.items()] == [2, 3, 4]


def test_a_removed_value_is_not_stored_any_more():
    store = make_store()
    store.put("a", "1")
    store.remove("a")
    store.remove("never stored")
    assert store.get("a") is None


def test_the_usage_shows_entries_and_bytes_with_their_bounds_and_nothing_is_left_after_clear():
    store = make_store(max_entries=7, max_bytes=50)
    store.put("a", "123")
    assert store.usage == Usage(entries=1, max_entries=7, bytes=3, max_bytes=50)
    store.clear()
    assert store.usage == Usage(entries=0, max_entries=7, bytes=0, max_bytes=50)
