"""Runs a stage's pure step over decoded records and finds the one record that cannot be stepped."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from shared.adapters.kafka import ConsumerRecord
from shared.contracts.headers import Headers
from shared.kernel.errors import FreshetError, Reason, Rejected
from shared.runtime.logging import get_logger
from shared.runtime.stage import Batch, Effects, Record, Rejection, Stage, single_records

V = TypeVar("V")
S = TypeVar("S")


class StepFailedError(Exception):
    """A step raised on a batch; the touched states can no longer be trusted."""


def decode(
    stage: Stage[V, S], raw: Sequence[ConsumerRecord], reached: int
) -> tuple[list[Record[V]], list[tuple[int, Rejected]], int]:
    """Decodes records; returns the readable ones, (index into `raw`, error) for the others, and the log time that is
    reached after them (`reached` before). What cannot be read moves no clock."""
    read, log_time = stage.source.codec.decode, stage.log_time
    records: list[Record[V]] = []
    errors: list[tuple[int, Rejected]] = []
    for index, item in enumerate(raw):
        try:
            raw_value = item.value
            if raw_value is None:
                raise Rejected("the record has no value", Reason.ENVELOPE)
            key = "" if item.key is None else item.key.decode()
            value = read(raw_value)
        except UnicodeDecodeError:
            errors.append((index, Rejected("the record's key is not UTF-8", Reason.ENVELOPE)))
        except Rejected as error:
            errors.append((index, error))
        else:
            headers: Headers = item.headers
            records.append(Record(key, value, item.partition, item.offset, item.timestamp, headers, raw_value, reached))
            if log_time is not None and (at := log_time(value)) > reached:
                reached = at
    return records, errors, reached


class Stepper(Generic[V, S]):
    """Calls the step; on failure tells which records are to blame."""

    def __init__(self, stage: Stage[V, S]) -> None:
        self._stage = stage
        self._log = get_logger("stage").bind(stage=stage.name)

    def step(self, batch: Batch[V, S]) -> Effects[S]:
        """Runs the step over a whole batch. Raises StepFailedError when it raises anything but a Fatal or Retryable."""
        try:
            return self._stage.step(batch)
        except Rejected as error:
            raise StepFailedError from error
        except FreshetError:
            raise
        except Exception as error:
            raise StepFailedError from error

    def step_singly(self, batch: Batch[V, S], encode_state: Any, decode_state: Any) -> Effects[S]:
        """Runs the step one record at a time; a record that raises becomes a rejection and leaves no trace.

        States are copied through their codec before each record, so a failed one can be put back. A deadline that
        raises is cleared and logged: its key is evaluated again with its next record.
        """
        total: Effects[S] = Effects()
        for single in single_records(batch):
            keys = [record.key for record in single.records] + [due.key for due in single.due]
            saved = {key: encode_state(batch.states[key]) for key in keys if key in batch.states}
            try:
                effects = self._stage.step(single)
            except Exception as error:
                if isinstance(error, FreshetError) and not isinstance(error, Rejected):
                    raise
                for key in keys:
                    if key in saved:
                        # Into the effects too: what earlier records of the batch decided is the same spoilt object.
                        total.states[key] = batch.states[key] = decode_state(saved[key])
                    else:
                        batch.states.pop(key, None)
                self._blame(single, error, total)
            else:
                merge_effects(total, effects)
                batch.states.update(effects.states)
        return total

    def _blame(self, single: Batch[V, S], error: Exception, total: Effects[S]) -> None:
        rejected = error if isinstance(error, Rejected) else None
        if rejected is None:
            self._log.error("step_failed", exc_info=error, offsets=[record.offset for record in single.records])
            rejected = Rejected(f"{type(error).__name__}: {error}", Reason.STEP_ERROR)
        total.rejections.extend(Rejection(record, rejected) for record in single.records)
        total.deadlines.update(dict.fromkeys((due.key for due in single.due), None))


def merge_effects(total: Effects[S], more: Effects[S]) -> None:
    """Adds the effects of a later batch to those of earlier ones; absolute values of the later win."""
    total.states.update(more.states)
    total.outputs.extend(more.outputs)
    total.deadlines.update(more.deadlines)
    total.views.extend(more.views)
    total.rejections.extend(more.rejections)
