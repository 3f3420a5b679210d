"""What a backtest reads: events, as tuples because there are millions of them."""

from typing import Any, NamedTuple


class Happening(NamedTuple):
    """An event of a profile; `at` is event time in µs, `body` as the expressions see it."""

    at: int
    profile: str
    id: str
    type: str
    body: dict[str, Any]
