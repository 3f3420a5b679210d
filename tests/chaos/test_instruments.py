"""The instruments of chaos and soak measure what they say."""

import struct

from services.profile_store.domain.state import ProfileState, StateCodec
from tests.chaos.crew import MAIN
from tests.chaos.digests import Picture, difference
from tests.chaos.findings import Findings
from tests.chaos.jvm import parse
from tests.chaos.moves import LATE_US
from tests.chaos.outcome import Outcome
from tests.chaos.trend import trend
from tests.chaos.watch import STAGES

SECONDS = [float(at) for at in range(0, 3_600, 10)]


def test_a_flat_noisy_series_does_not_grow() -> None:
    values = [100.0 + (at * 7919 % 13) for at in SECONDS]

    assert not trend(SECONDS, values).grows(1.0)


def test_a_leak_of_a_few_mib_an_hour_is_seen_through_the_noise() -> None:
    found = trend(SECONDS, [100.0 + (at * 7919 % 13) + 20 * at / 3_600 for at in SECONDS])

    assert found.grows(6.0)
    assert abs(found.per_hour - 20) < 2


def test_a_few_samples_claim_nothing() -> None:
    assert not trend([0.0, 60.0], [1.0, 1_000.0]).grows(0.0)


def test_used_bytes_are_read_from_a_jvms_counters() -> None:
    name = b"sun.gc.generation.1.space.0.used\0"
    data_at = 20 + len(name) + 3
    entry = struct.pack("<iiiBBBBi", data_at + 8, 20, 0, ord("J"), 0, 1, 3, data_at) + name + b"\0" * 3
    entry += struct.pack("<q", 4_096)
    header = struct.pack(">I", 0xCAFEC0C0) + bytes([1, 2, 0, 1]) + struct.pack("<iiqii", 0, 0, 0, 32, 1)

    assert {"sun.gc.generation.1.space.0.used": 4_096} == parse(header + entry)
    assert {} == parse(b"something else")


def picture(total: str, last_modified: int) -> Picture:
    (stage,) = (stage for stage in STAGES if stage.line == MAIN and stage.name == "profile_store")
    return Picture(stage, {"total": total}, {"p1": StateCodec().encode(ProfileState(last_modified=last_modified))})


def test_where_two_digests_part_the_first_place_in_a_state_is_told() -> None:
    assert "" == difference(picture("a", 1), picture("a", 1))
    assert "total differ; state of p1: /1 is 1 and 2" == difference(picture("a", 1), picture("b", 2))


def test_what_time_brings_too_late_is_a_violation_unless_the_machine_is_too_busy_to_say() -> None:
    late = [0] * 90 + [LATE_US + 1] * 10

    for load, violations in ((0.5, 1), (9.0, 0)):
        outcome = Outcome(Findings(lateness=list(late)), load_when_calm=load)
        outcome.judge_lateness()

        assert violations == outcome.findings.violations.total()
