"""One random life of a profile, told to the engine and to the naive evaluator alike."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from shared.pql import (
    CheckError,
    Event,
    Expression,
    FeatureSpec,
    LimitError,
    Outcome,
    Plan,
    Profile,
    ProfileState,
    Schema,
    SegmentSpec,
    build_plan,
    compile_feature,
    compile_segment,
    decode_state,
    due,
    encode_state,
    evaluate,
    new_state,
    read_features,
)
from shared.pql.syntax import Query
from tests.support.naive.evaluate import NaiveEvent, World, holds
from tests.support.naive.evaluate import evaluate as naive_value
from tests.support.naive.generate import DAY, MINUTE, OFFSETS, START, Generator
from tests.support.naive.schemed import Schemed
from tests.support.naive.values import Duration, Instant

PERMISSIVE = Schema.permissive()
_TEXT, _NUMBER, _FLAG = {"type": "string"}, {"type": "number"}, {"type": "boolean"}
_INSTANT = {"type": "string", "format": "date-time"}


def _object(**fields: object) -> dict[str, object]:
    return {"type": "object", "properties": fields}


_ITEMS = {"type": "array", "items": _object(sku=_TEXT, qty=_NUMBER, price=_NUMBER)}
DECLARED = Schema.from_json_schema(
    _object(
        tier=_TEXT,
        age=_NUMBER,
        flag=_FLAG,
        joined=_INSTANT,
        renews=_INSTANT,
        tags={"type": "array", "items": _TEXT},
        orders=_ITEMS,
        geo=_object(lat=_NUMBER, lon=_NUMBER),
        prefs=_object(x=_TEXT, y=_NUMBER),
    ),
    _object(price=_NUMBER, sku=_TEXT, ok=_FLAG, due=_INSTANT, items=_ITEMS),
)
"""The generator's vocabulary with its types; the values sent do not always keep to them."""
LISTS = frozenset({"vip"})


@dataclass
class Scenario:
    """A plan and one profile, in both worlds.

    `seen` counts what kinds of things have happened; `members` follows the transitions told, and `deadline` is the
    instant before which the engine promised that nothing changes.
    """

    generator: Generator
    schema: Schema
    specs: dict[str, SegmentSpec]
    feature_specs: dict[str, FeatureSpec]
    plan: Plan
    world: World
    state: ProfileState = field(default_factory=new_state)
    log: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    members: set[str] = field(default_factory=set)
    deadline: int | None = None

    @property
    def profile(self) -> Profile:
        return Profile(self.world.profile_id, self.world.attributes, LISTS)

    def say(self, line: str, now: int) -> None:
        self.log.append(f"at {now - START}: {self.world.profile_id} {line}")

    def explain(self, message: str) -> str:
        texts = [f"{spec.id}: {spec.expression.text}" for spec in self.specs.values()]
        texts += [f"{name}: {spec.expression.text}" for name, spec in self.feature_specs.items()]
        return "\n".join([message, *texts, *self.log])

    def take_attributes(self, now: int) -> None:
        """The attributes are new; the engine learns of it with what happens next."""
        attributes = self.generator.attributes()
        self.say(f"has {attributes}", now)
        self.world = replace(self.world, now=now, timeline=(*self.world.timeline, (now, attributes)))

    def bring_to(self, now: int) -> None:
        """Let time pass until just before `now`, and judge what it brought."""
        if self.world.timeline:
            self.settle(due(self.plan, self.state, self.profile, now - 1), replace(self.world, now=now - 1))

    def happen(self, now: int, events: Sequence[NaiveEvent]) -> None:
        """Events arrive in one batch, or (without events) the attributes are new. Judged at the end of the batch."""
        self.bring_to(now)
        if not self.world.timeline or not events:
            # A fresh profile's first attributes are already there when its first event is judged.
            self.take_attributes(now)
            events_or_none: list[NaiveEvent | None] = [*events] or [None]
        else:
            events_or_none = [*events]
        before = replace(self.world, now=now)
        for number, event in enumerate(events_or_none):
            if event is not None:
                self.say(f"{event}", now)
                self.world = replace(self.world, now=now, events=(*self.world.events, event))
            # A clock that falls back within a batch must not show.
            clock = now - MINUTE if number and self.generator.chance(0.1) else now
            outcome = evaluate(self.plan, self.state, self.profile, as_sent(event), clock)
            self.note(outcome)
            self.check_touch(outcome, before, event is not None)
            before = self.world
        self.finish(outcome)

    def finish(self, outcome: Outcome) -> None:
        """Fire a deadline of this very instant, which is the clock's or the next record's to fire; then compare."""
        if outcome.next_deadline == self.world.now:
            outcome = due(self.plan, outcome.state, self.profile, self.world.now)
            self.note(outcome)
        self.check(outcome)

    def advance(self, now: int) -> None:
        """Time passes."""
        self.say("waits", now)
        outcome = due(self.plan, self.state, self.profile, now)
        self.world = replace(self.world, now=now)
        self.settle(outcome, self.world)
        self.check(outcome)

    def note(self, outcome: Outcome) -> None:
        """Take the new state; the transitions told must lead to its memberships."""
        self.state = outcome.state
        self.seen["transitions"] += len(outcome.changes)
        for change in outcome.changes:
            assert change.entered is (change.segment_id not in self.members), self.explain(f"{change} happened twice")
            (self.members.add if change.entered else self.members.discard)(change.segment_id)
        assert self.members == set(self.state.members), self.explain(f"members {self.members} by transitions")

    def settle(self, outcome: Outcome, world: World) -> None:
        """Each transition by time happened at its very microsecond."""
        self.note(outcome)
        self.seen["transitions by time"] += len(outcome.changes)
        for change in outcome.changes:
            query = world.segments[change.segment_id]
            for at, expected in ((change.effective_at, change.entered), (change.effective_at - 1, not change.entered)):
                assert holds(query, replace(world, now=at)) is expected, self.explain(
                    f"{change}: expected {expected} at {at - START}"
                )

    def check_touch(self, outcome: Outcome, before: World, by_event: bool) -> None:
        """A feature whose value an event has changed is announced."""
        if outcome.features_touched or not by_event:
            return
        for name, spec in self.feature_specs.items():
            query = spec.expression.query
            was, found = naive_value(query, before), naive_value(query, self.world)
            assert as_number(was) == as_number(found), self.explain(f"{name} changed from {was} to {found} unannounced")

    def check(self, outcome: Outcome) -> None:
        """Memberships and features agree now and until the next deadline; the state survives its encoding."""
        self.state = decode_state(encode_state(outcome.state))
        now = self.world.now
        for name, query in self.world.segments.items():
            expected = holds(query, self.world)
            assert (name in self.state.members) is expected, self.explain(
                f"{name}: expected {expected} at {now - START}"
            )
        found = read_features(self.plan, self.state, self.profile, now)
        for name, spec in self.feature_specs.items():
            wanted = as_number(naive_value(spec.expression.query, self.world))
            assert found[name] == wanted, self.explain(f"{name}: expected {wanted}, found {found[name]}")
        assert set(self.state.members) <= set(self.world.segments), self.explain("members of a removed segment")
        self.check_quiet(outcome)

    def check_quiet(self, outcome: Outcome) -> None:
        """Nothing changes before the deadline the engine named."""
        now = self.world.now
        self.deadline = outcome.next_deadline
        last = (self.deadline or now + 500 * DAY) - 1
        for at in {last, self.critical(now, last)}:
            if at <= now:
                continue
            for name, query in self.world.segments.items():
                expected = name in self.state.members
                assert holds(query, replace(self.world, now=at)) is expected, self.explain(
                    f"{name}: the engine promised {expected} until {last - START}, at {at - START} it is not"
                )

    def critical(self, now: int, last: int) -> int:
        """An instant before `last` at which something might change: an event comes to a typical age."""
        generator = self.generator
        known = self.world.events
        at = generator.pick(*known).occurred_at if known else now
        at += generator.pick(*OFFSETS) + generator.pick(0, 1)
        return int(at) if now < at < last else now + (last - now) // 2


def as_sent(event: NaiveEvent | None) -> Event | None:
    return Event(event.id, event.occurred_at, event.type, event.body) if event else None


def as_number(value: Any) -> float | None:
    if isinstance(value, Instant | Duration):
        return value / 1_000_000
    return float(value) if isinstance(value, int | float) else None


def accepted(text: str, schema: Schema, door: Callable[[str, Schema], Expression]) -> Expression | None:
    """The expression if it stays within the limits of cost, and within the types if they are declared."""
    try:
        return door(text, schema)
    except LimitError:
        return None
    except CheckError:
        if schema is PERMISSIVE:
            raise
        return None


def segment_of(generator: Generator, schema: Schema, depth: int) -> Expression:
    """A random condition."""
    while (found := accepted(generator.condition(depth), schema, compile_segment)) is None:
        pass
    return found


def feature_of(generator: Generator, schema: Schema) -> Expression:
    """A random amount."""
    while (found := accepted(generator.amount(1), schema, compile_feature)) is None:
        pass
    return found


def queries(specs: Mapping[str, SegmentSpec]) -> dict[str, Query]:
    """The trees the naive evaluator reads."""
    return {name: spec.expression.query for name, spec in specs.items()}


def vocabulary(seed: int) -> tuple[Generator, Schema, Mapping[str, bool]]:
    """A fixed vocabulary, untyped or typed, or one of a random schema with the names of its instants."""
    if seed % 4 == 1:
        made = Schemed(seed)
        schema = Schema.from_json_schema(made.profile_shape.schema(), made.event_shape.schema())
        return made, schema, made.instants()
    return Generator(seed), DECLARED if seed % 3 == 0 else PERMISSIVE, {}


def scenario(seed: int, segments: int = 3, features: int = 2, depth: int = 2) -> Scenario:
    """A plan of random segments and features, before anything has happened."""
    generator, schema, instants = vocabulary(seed)
    specs: dict[str, SegmentSpec] = {}
    for index in range(segments):
        name = f"s{index}"
        specs[name] = SegmentSpec(name, 1, segment_of(generator, schema, depth))
        generator.segments.append(name)
    feature_specs = {f"f{index}": FeatureSpec(f"f{index}", feature_of(generator, schema)) for index in range(features)}
    world = World(START, lists=LISTS, segments=queries(specs), instants=instants)
    plan = build_plan([*specs.values()], [*feature_specs.values()])
    return Scenario(generator, schema, specs, feature_specs, plan, world)
