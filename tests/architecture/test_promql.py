"""The reader of PromQL finds what the tests of dashboards and alerts rely on."""

import pytest

from tests.architecture.promql import Selector, read


def test_names_matchers_and_groupings_are_found() -> None:
    expression = read('sum by (job, le) (rate(a_total{x="1", y=~"b|c"}[5m])) / on (job) d > 0.5')

    assert expression.selectors == (Selector("a_total", {"x": "1", "y": "b|c"}), Selector("d"))
    assert expression.grouped_by == {"job", "le"}


def test_a_name_given_as_a_matcher_is_a_pattern() -> None:
    (selector,) = read('max({__name__=~"f_(a|b)_lag", p="0"})').selectors

    assert selector.names_among(["f_a_lag", "f_c_lag", "xf_a_lag"]) == {"f_a_lag"}
    assert selector.matchers == {"p": "0"}


def test_operators_are_not_taken_for_metrics() -> None:
    expression = read("a and b or absent(c) unless d offset 5m == bool 1")

    assert [selector.name for selector in expression.selectors] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("text", ["sum(a", "a{b='c'", "a)", "a # b", "a[5m)"])
def test_what_is_not_promql_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"PromQL|closes nothing|is missing"):
        read(text)
