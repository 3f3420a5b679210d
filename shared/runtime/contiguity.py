"""Offsets of a fenced log come one after the other: what was read already is dropped, a hole is fatal."""

from collections.abc import Sequence

from shared.adapters.kafka import ConsumerRecord
from shared.kernel.errors import ExitCode, Fatal


def continued(raw: Sequence[ConsumerRecord], read_offset: int, where: str) -> Sequence[ConsumerRecord]:
    """Returns what follows `read_offset`. Raises Fatal (GAP) at a hole: records between were lost on the way.

    Every offset is looked at: a batch may have been joined from several fetches.
    """
    expected = read_offset + 1
    if [record.offset for record in raw] == list(range(expected, expected + len(raw))):
        return raw
    fresh: list[ConsumerRecord] = []
    for record in raw:
        if record.offset > expected:
            raise Fatal(
                f"{where}: expected offset {expected}, got {record.offset}; starting again from the fence",
                ExitCode.GAP,
            )
        if record.offset == expected:
            fresh.append(record)
            expected += 1
    return fresh
