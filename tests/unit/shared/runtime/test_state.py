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
