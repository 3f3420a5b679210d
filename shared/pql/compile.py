"""Text → checked expression: the doors through which all definitions come."""

from shared.pql.check import check
from shared.pql.check_values import truth
from shared.pql.core import Bound, Core, Inside, parts
from shared.pql.cost import refuse_costly
from shared.pql.errors import CheckError, PqlError
from shared.pql.history import cut
from shared.pql.parser import parse
from shared.pql.plan import Expression
from shared.pql.rewrite import rewrite
from shared.pql.schema import Schema
from shared.pql.syntax import Query

_FEATURE_KINDS = frozenset({"integer", "number", "boolean", "any", "duration", "instant", "null"})


def compile_segment(text: str, schema: Schema) -> Expression:
    """Parse and check a segment; its value must be a condition.

    Raises a PqlError whose class names the stage and whose text underlines the place.
    """
    query = parse(text)
    core = check(query, schema, text)
    try:
        core = rewrite(truth(core))
        _refuse_bare_now(core)
        return _planned(text, query, core)
    except PqlError as error:
        raise error.locate(text) from None


def compile_feature(text: str, schema: Schema) -> Expression:
    """Parse and check a feature; its value must be a number, a truth value, a duration or an instant."""
    query = parse(text)
    core = check(query, schema, text)
    try:
        if core.type.kind not in _FEATURE_KINDS:
            hint = "aggregate it, for example with `.count()` or `.sum(...)`"
            raise CheckError(f"a feature is a number, found {core.type}", query.body.span, hint)
        return _planned(text, query, rewrite(core))
    except PqlError as error:
        raise error.locate(text) from None


def _planned(text: str, query: Query, core: Core) -> Expression:
    planned = cut(core)
    refuse_costly(planned, query)
    return Expression(text, query, core, planned)


def _refuse_bare_now(core: Core) -> None:
    """A segment that computes with the exact present would change at every microsecond."""
    stack = [core]
    while stack:
        node = stack.pop()
        if isinstance(node, Bound) and node.anchor is None and node.unit is None:
            hint = "write `... occurs > 3 days before now`, or compare `now - x` with a duration"
            raise CheckError("`now` may only be compared here, not computed with", node.span, hint)
        if isinstance(node, Inside):
            # The ends of an interval are the place for `now`.
            stack.append(node.subject)
            ends = (end for interval in node.intervals for end in (interval.low, interval.high) if end is not None)
            stack.extend(end.anchor for end in ends if end.anchor is not None)
        else:
            stack.extend(parts(node))
