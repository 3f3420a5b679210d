"""Expressions become conditions: compiled, with what they read; handed on from plan to plan."""

from shared.pql.codegen import compile_condition
from shared.pql.context import Context
from shared.pql.core import Bound, Core, walk
from shared.pql.history import recalls, references, since_conditions, uses_profile
from shared.pql.leaves.base import Leaf, LeafSpec
from shared.pql.making import content_key, make_leaf
from shared.pql.plan import Compiled, Condition, Expression, Plan, SinceCondition
from shared.pql.thresholds import numbers_asked
from shared.pql.windows import NEVER


class Conditions:
    """The conditions of a plan in the making; `previous` lends what has not changed.

    An expression object known to the previous plan costs one look-up, an equal one the hash of its content, and only a
    new one is compiled.
    """

    def __init__(self, previous: Plan | None) -> None:
        self._before = previous.known if previous else {}
        self._leaves_before = previous.leaves if previous else {}
        self._by_key = {condition.key: condition for condition in self._before.values()}
        self._leaves: dict[LeafSpec, Leaf] = {}
        self.known: dict[int, Condition] = {}

    def of(self, expression: Expression) -> Condition:
        """The condition of an expression."""
        # The identity is safe: whoever made the entry, the plan or this builder's caller, keeps the expression alive.
        condition = self.known.get(id(expression)) or self._before.get(id(expression))
        if condition is None:
            key = content_key("condition", expression.planned)
            condition = self._by_key.get(key) or self._made(key, expression.planned)
            self._by_key[key] = condition
        self.known[id(expression)] = condition
        return condition

    def _made(self, key: int, core: Core) -> Condition:
        test = self._compiled(core)
        specs = recalls(core)
        numbers, otherwise = numbers_asked(core)
        profile, referred = uses_profile(core), references(core)
        since = since_conditions(core)
        blank = None if referred or since or _names_profile(core) else _before_history(test, core)
        return Condition(
            key,
            core,
            test,
            tuple(sorted((self._leaf(spec) for spec in specs), key=lambda leaf: leaf.key)),
            tuple((self._leaf(spec).key, number) for spec, asked in numbers.items() for number in sorted(asked)),
            tuple(sorted(self._leaf(spec).key for spec in otherwise)),
            referred,
            tuple(SinceCondition(since_key(inner), inner, self._compiled(inner)) for inner in since),
            profile,
            None if profile else blank,
            blank,
        )

    def _leaf(self, spec: LeafSpec) -> Leaf:
        leaf = self._leaves.get(spec) or self._leaves_before.get(spec)
        if leaf is None:
            leaf = make_leaf(spec)
        self._leaves[spec] = leaf
        return leaf

    def _compiled(self, core: Core) -> Compiled:
        return compile_condition(core, self._leaf, since_key)


def since_key(condition: Core) -> int:
    """The key under which the beginning of a condition on attributes is kept."""
    return content_key("since", condition)


def _names_profile(core: Core) -> bool:
    return any(getattr(node, "operation", "") in ("profileId", "bucket") for node in walk(core))


def _before_history(condition: Compiled, core: Core) -> bool | None:
    """The answer for a profile without events and attributes; None if it depends on time."""
    if any(isinstance(node, Bound) and node.anchor is None for node in walk(core) if not recalls(node)):
        return None
    context = Context("", {}, frozenset(), {}, {}, {}, 0)
    answer = bool(condition(context))
    return answer if context.until == NEVER else None
