"""The cache of decoded states is bounded, and never forgets what Redis does not have yet."""

from shared.runtime.state import Held, StateCache, frame, unframe


def test_a_frame_carries_offset_and_bytes_there_and_back() -> None:
    assert (-1, b"") == unframe(frame(-1, b""))
    assert (2**40, b"state") == unframe(frame(2**40, b"state"))


def test_trimming_drops_the_least_recently_used_states_first() -> None:
    cache: StateCache[int] = StateCache(capacity=2)
    for key in "abc":
        cache.put(key, Held(1, 0))
    cache.get("a")

    cache.trim()

    assert ["b"] == cache.missing("abc")


def test_states_of_unsettled_batches_stay_however_many_they_are() -> None:
    cache: StateCache[int] = StateCache(capacity=1)
    for key in "abc":
        cache.put(key, Held(1, 0))
    cache.pin("abc")

    cache.trim()
    held = len(cache)
    cache.unpin("abc")
    cache.trim()

    assert 3 == held
    assert 1 == len(cache)


def test_a_cache_is_bounded_by_the_encoded_size_of_its_states_too() -> None:
    cache: StateCache[int] = StateCache(capacity=10, bytes_max=250)
    for key in "abc":
        cache.put(key, Held(1, 0, size=100))
    cache.weigh(cache.get("a"), 150)

    dropped = cache.trim()

    assert 1 == dropped
    assert ["b"] == cache.missing("abc")
    assert 250 == cache.bytes


def test_only_deadlines_that_redis_does_not_hold_already_are_told_to_it() -> None:
    cache: StateCache[int] = StateCache(capacity=10)
    for key in "ab":
        cache.put(key, Held(1, 0))

    first = cache.changed_deadlines({"a": 5, "b": None, "evicted": None})
    again = cache.changed_deadlines({"a": 5, "b": None, "evicted": None})
    moved = cache.changed_deadlines({"a": 7, "b": 3})
    cache.forget("a")
    cache.put("a", Held(1, 0))
    loaded = cache.changed_deadlines({"a": 7})

    assert {"a": 5, "b": None, "evicted": None} == first
    assert {"evicted": None} == again
    assert {"a": 7, "b": 3} == moved
    assert {"a": 7} == loaded
