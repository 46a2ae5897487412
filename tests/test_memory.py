"""The LRU cache bounded in bytes."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.memory import LruCache


def of_texts(max_bytes: int) -> LruCache[int, str]:
    return LruCache(max_bytes, lambda _, text: len(text))


def test_the_least_recently_used_entry_is_evicted_first() -> None:
    cache = of_texts(6)
    cache.remember(1, "aa")
    cache.remember(2, "bb")
    cache.remember(3, "cc")
    cache.move_to_end(1)
    cache.remember(4, "dd")
    assert list(cache.items()) == [(3, "cc"), (1, "aa"), (4, "dd")]


def test_an_entry_larger_than_the_cache_is_not_stored_and_evicts_nothing() -> None:
    cache = of_texts(4)
    cache.remember(1, "aa")
    cache.remember(2, "bbbbb")
    assert list(cache) == [1]
    cache.remember(1, "aaaaa")
    assert list(cache) == []


steps = st.lists(
    st.one_of(
        st.tuples(st.just("remember"), st.integers(0, 5), st.text(max_size=12)),
        st.tuples(st.sampled_from(["forget", "clear"]), st.integers(0, 5), st.just("")),
    )
)


@given(steps)
def test_the_size_always_matches_the_entries_and_stays_within_the_bound(calls: list[tuple[str, int, str]]) -> None:
    cache = of_texts(20)
    for method, key, text in calls:
        if method == "remember":
            cache.remember(key, text)
            assert cache.get(key, text) == text
        elif method == "forget":
            cache.forget(key)
            assert key not in cache
        else:
            cache.clear()
        assert cache.held_bytes == sum(len(text) for text in cache.values()) <= 20
