"""The cache that is bounded in bytes."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.memory import LruCache


def of_texts(max_bytes: int) -> LruCache[int, str]:
    return LruCache(max_bytes, lambda _, text: len(text))


def test_the_entry_used_least_recently_goes_first() -> None:
    cache = of_texts(6)
    cache.remember(1, "aa")
    cache.remember(2, "bb")
    cache.remember(3, "cc")
    cache.move_to_end(1)
    cache.remember(4, "dd")
    assert list(cache.items()) == [(3, "cc"), (1, "aa"), (4, "dd")]


def test_an_entry_larger_than_the_cache_is_not_stored_and_drops_nothing_else() -> None:
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
def test_the_account_is_always_that_of_the_entries_and_within_the_bound(taken: list[tuple[str, int, str]]) -> None:
    cache = of_texts(20)
    for what, key, text in taken:
        if what == "remember":
            cache.remember(key, text)
            assert cache.get(key, text) == text
        elif what == "forget":
            cache.forget(key)
            assert key not in cache
        else:
            cache.clear()
        assert cache.held_bytes == sum(len(text) for text in cache.values()) <= 20
