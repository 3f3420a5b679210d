"""What the broker's answers tell of the end of a log, and since when."""

from shared.adapters.kafka import TopicPartition
from shared.runtime.read_up import Answers

PLACE = TopicPartition("events", 3)


def test_the_first_answer_does_not_tell_when_it_was_asked_for() -> None:
    answers = Answers()

    assert answers.asked_at(PLACE, None) is None
    assert answers.asked_at(PLACE, 1_000) is None


def test_an_answer_was_asked_for_after_the_one_before_it_had_come() -> None:
    answers = Answers()
    answers.asked_at(PLACE, 1_000)

    asked = [answers.asked_at(PLACE, came_ms) for came_ms in (1_200, 1_200, 2_900)]

    assert [1_000_000, 1_000_000, 1_200_000] == asked


def test_answers_to_an_earlier_generation_count_no_more() -> None:
    answers = Answers()
    answers.asked_at(PLACE, 1_000)
    answers.asked_at(PLACE, 1_200)

    answers.forget()

    assert answers.asked_at(PLACE, 1_400) is None
