"""Where a replay stops."""

from collections.abc import Iterator

from deploy.demo.run import bounded
from deploy.demo.trying import choose
from shared.cli.sources.source import SourceEvent, event_of, record_of
from shared.contracts.facts import Identity

ANN = Identity("Email", "ann", True)


def _messages() -> Iterator[SourceEvent]:
    yield record_of("p", {}, 10, ANN)
    for at in (10, 20, 30):
        yield event_of("e", {}, at, ANN)


def test_without_bounds_everything_is_sent() -> None:
    assert 4 == len(list(bounded(_messages(), None, None)))


def test_events_before_the_instant_are_sent_and_none_at_it() -> None:
    assert [10, 10, 20] == [event.received_at for event in bounded(_messages(), 30, None)]


def test_the_limit_counts_events_and_not_records() -> None:
    assert ["record", "event", "event"] == [event.kind for event in bounded(_messages(), None, 2)]


def test_somebody_from_the_preferred_segment_is_shown() -> None:
    someone = choose("GA4", {"a": ["u1"], "b": ["u9", "u3"]}, ["none", "b"], "u0")

    assert ("GA4", "u3", "b") == (someone.namespace, someone.value, someone.segment)


def test_anybody_is_shown_when_all_segments_are_empty() -> None:
    assert ("u0", "a") == (choose("GA4", {"a": []}, [], "u0").value, choose("GA4", {"a": []}, [], "u0").segment)
