"""Hostile expressions are refused with the figure and the limit, or cost little."""

from functools import partial

import pytest

from shared.pql import LimitError, PqlError, Schema, compile_segment, explain
from tests.support.steps import calls_of
from tests.unit.shared.pql.cases import judged

PERMISSIVE = Schema.permissive()


@pytest.mark.parametrize(
    ("text", "figure"),
    [
        ("x = 1 or " * 20_000 + "x = 1", "65536"),
        ("(" * 60 + "x = 1" + ")" * 60, "48"),
        ("not " * 60 + "x = 1", "48"),
        (" or ".join(["x = 1"] * 2_000), "4000"),
        ("x" + ".y" * 100 + " = 1", "64"),
        ("x" + " * 2" * 100 + " = 1", "64"),
        (
            "let a = x + 1 in " + "".join(f"let a{n} = a + a + a in let a = a{n} in " for n in range(20)) + "a > 1",
            "8000",
        ),
        ("xEvent.count() + " + " + ".join(f'xEvent[a = "{n}"].count()' for n in range(70)) + " > 1", "64"),
        ("exists A from xEvent, B from xEvent, C from xEvent, D from xEvent where D.x = A.x", "3"),
        (f'x.matches("{"a" * 2000}")', "1000"),
        ("chain(xEvent, timestamp, [" + ", ".join(f"S{n}: WHAT(a = {n})" for n in range(30)) + "])", "20"),
        ("x = 1234567890123456789012", "18"),
    ],
)
def test_what_is_too_much_is_refused_with_the_limit(text: str, figure: str) -> None:
    with pytest.raises(LimitError, match=figure):
        compile_segment(text, PERMISSIVE)


def refusal(text: str) -> PqlError:
    with pytest.raises(PqlError) as refused:
        compile_segment(text, PERMISSIVE)
    return refused.value


def test_refusals_take_few_steps_and_are_short() -> None:
    for text in ("[" * 30_000, "a[" * 20_000, '"' + "a" * 60_000, "^" * 60_000, "if(" * 20_000, "x." * 30_000):
        assert calls_of(partial(refusal, text)) < 300_000
        assert len(str(refusal(text))) < 1_000


def test_a_wide_scoring_plan_is_fine() -> None:
    text = " + ".join(f"if(x > {n}, 1, 0)" for n in range(200)) + " >= 100"

    assert judged(text, {"x": 150})
    assert not judged(text, {"x": 50})


def test_a_pattern_that_would_hang_other_engines_does_not() -> None:
    assert not judged('x.matches("^(a+)+$")', {"x": "a" * 5_000 + "b"})


def test_the_cost_of_nested_loops_shows_in_the_explanation() -> None:
    text = "exists A from xEvent, B from xEvent where A.x = B.y"

    assert "at most 1,000 entries" in explain(compile_segment(text, PERMISSIVE))
