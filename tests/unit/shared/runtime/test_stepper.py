"""One record that cannot be stepped is found, set aside, and leaves no trace."""

import pytest

from shared.contracts.facts import Fact
from shared.kernel.clock import Micros
from shared.kernel.errors import Fatal, Reason
from shared.runtime.stage import Batch, Due, Effects, Record, Stage
from shared.runtime.stepper import StepFailedError, Stepper
from tests.support.counting import Count, CountCodec, counting_stage


def record(offset: int, key: str = "p", **body: object) -> Record[Fact]:
    fact = Fact(f"e{offset}", "event", "t", key, offset, offset, body=dict(body))
    return Record(key, fact, 0, offset, 0)


def test_a_poisoned_record_is_rejected_and_the_others_count() -> None:
    codec = CountCodec()
    stepper = Stepper(counting_stage())
    batch = Batch(0, [record(0), record(1, poison=True), record(2)], (), {"p": Count(events=5)})

    with pytest.raises(StepFailedError):
        stepper.step(batch)
    effects = stepper.step_singly(Batch(0, batch.records, (), {"p": Count(events=5)}), codec.encode, codec.decode)

    assert 7 == effects.states["p"].events
    assert [(1, Reason.STEP_ERROR)] == [(r.record.offset, r.error.reason) for r in effects.rejections]


def test_a_deadline_that_raises_is_cleared_so_that_it_cannot_stop_the_partition() -> None:
    codec = CountCodec()
    stepper = Stepper(counting_stage())
    batch: Batch[Fact, Count] = Batch(0, (), [Due("unknown", Micros(1))], {})

    effects = stepper.step_singly(batch, codec.encode, codec.decode)

    assert {"unknown": None} == effects.deadlines


def test_a_fatal_error_is_not_mistaken_for_a_poisoned_record() -> None:
    def stop(_: Batch[Fact, Count]) -> Effects[Count]:
        raise Fatal("invariant broken")

    stage = counting_stage()
    stepper = Stepper(Stage(name="s", source=stage.source, step=stop, outputs=(), state=CountCodec()))

    with pytest.raises(Fatal, match="invariant broken"):
        stepper.step(Batch(0, [record(0)], (), {}))
