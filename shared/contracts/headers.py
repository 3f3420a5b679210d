"""Kafka headers that Freshet's records carry."""

Headers = tuple[tuple[str, bytes], ...]

TRACEPARENT = "traceparent"
"""W3C trace context, copied from a record to what it causes."""


def trace_of(headers: Headers) -> Headers:
    """Returns the headers that travel on to the records this one causes."""
    return tuple(header for header in headers if header[0] == TRACEPARENT)
