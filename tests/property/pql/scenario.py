"""One random life of a profile, told to the engine and to the naive evaluator alike."""

from collections.abc import Callable
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
from shared.pql.parser import parse
from shared.pql.syntax import Query
from tests.support.naive.evaluate import NaiveEvent, World, holds
from tests.support.naive.evaluate import evaluate as naive_value
from tests.support.naive.generate import DAY, MINUTE, START, Generator
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
    """A plan and one profile, in both worlds."""

    generator: Generator
    queries: dict[str, Query]
    features: dict[str, Query]
    plan: Plan
    world: World
    state: ProfileState = field(default_factory=new_state)
    log: list[str] = field(default_factory=list)

    @property
    def profile(self) -> Profile:
        return Profile("u1", self.world.attributes, LISTS)

    def explain(self, message: str) -> str:
        texts = [f"{spec.spec.id}: {spec.spec.expression.text}" for spec in self.plan.segments]
        texts += [f"{spec.spec.name}: {spec.spec.expression.text}" for spec in self.plan.features]
        return "\n".join([message, *texts, *self.log])

    def happen(self, now: int, event: NaiveEvent | None) -> None:
        """An event arrives, or (None) the attributes are new."""
        before = self.world
        world = replace(before, now=now)
        if event is not None:
            self.log.append(f"at {now - START}: {event}")
            world = replace(world, events=(*world.events, event))
        if not before.timeline or event is None:
            attributes = self.generator.attributes()
            self.log.append(f"at {now - START}: attributes {attributes}")
            world = replace(world, timeline=(*world.timeline, (now, attributes)))
        self.world = world
        engine_event = Event(event.id, event.occurred_at, event.type, event.body) if event else None
        # A fresh profile's first attributes are already there when its first event is judged.
        profile_before = Profile("u1", before.attributes, LISTS) if before.timeline else self.profile
        passed = due(self.plan, self.state, profile_before, now - 1) if before.timeline else None
        if passed is not None:
            self.check_by_time(passed, replace(before, now=now - 1))
        outcome = evaluate(self.plan, self.state, self.profile, engine_event, now)
        if outcome.next_deadline == now:
            # A deadline of this very instant is the clock's to fire, or the next record's.
            outcome = due(self.plan, outcome.state, self.profile, now)
        self.check(outcome)

    def advance(self, now: int) -> None:
        """Time passes."""
        self.log.append(f"at {now - START}: time")
        outcome = due(self.plan, self.state, self.profile, now)
        self.world = replace(self.world, now=now)
        self.check_by_time(outcome, self.world)
        self.check(outcome)

    def check_by_time(self, outcome: Outcome, world: World) -> None:
        """Each transition by time happened at its very microsecond."""
        for change in outcome.changes:
            query = self.queries[change.segment_id]
            for at, expected in ((change.effective_at, change.entered), (change.effective_at - 1, not change.entered)):
                assert holds(query, replace(world, now=at)) is expected, self.explain(
                    f"{change}: expected {expected} at {at - START}"
                )

    def check(self, outcome: Outcome) -> None:
        """Memberships and features agree now and until the next deadline."""
        self.state = decode_state(encode_state(outcome.state))
        now = self.world.now
        for name, query in self.queries.items():
            expected = holds(query, self.world)
            assert (name in self.state.members) is expected, self.explain(
                f"{name}: expected {expected} at {now - START}"
            )
        found = read_features(self.plan, self.state, self.profile, now)
        for name, query in self.features.items():
            wanted = as_number(naive_value(query, self.world))
            assert found[name] == wanted, self.explain(f"{name}: expected {wanted}, found {found[name]}")
        self.check_quiet(outcome)

    def check_quiet(self, outcome: Outcome) -> None:
        """Nothing changes before the deadline the engine named."""
        now = self.world.now
        last = (outcome.next_deadline or now + 500 * DAY) - 1
        for at in {last, now + (last - now) // 2, min(last, now + MINUTE)}:
            if at <= now:
                continue
            for name, query in self.queries.items():
                expected = name in self.state.members
                assert holds(query, replace(self.world, now=at)) is expected, self.explain(
                    f"{name}: the engine promised {expected} until {last - START}, at {at - START} it is not"
                )


def as_number(value: Any) -> float | None:
    if isinstance(value, Instant | Duration):
        return value / 1_000_000
    return float(value) if isinstance(value, int | float) else None


def acceptable(text: str, schema: Schema, door: Callable[[str, Schema], Expression] = compile_segment) -> bool:
    """Whether the expression stays within the limits of cost, and within the types if they are declared."""
    try:
        door(text, schema)
    except LimitError:
        return False
    except CheckError:
        if schema is PERMISSIVE:
            raise
        return False
    return True


def scenario(seed: int, segments: int = 3, features: int = 2) -> Scenario:
    """A plan of random segments and features, before anything has happened."""
    generator = Generator(seed)
    schema = DECLARED if seed % 3 == 0 else PERMISSIVE
    specs, queries = [], {}
    for index in range(segments):
        name, text = f"s{index}", generator.condition(2)
        while not acceptable(text, schema):
            text = generator.condition(2)
        specs.append(SegmentSpec(name, 1, compile_segment(text, schema)))
        queries[name] = parse(text)
        generator.segments.append(name)
    feature_specs, feature_queries = [], {}
    for index in range(features):
        text = generator.amount(1)
        while not acceptable(text, schema, compile_feature):
            text = generator.amount(1)
        feature_specs.append(FeatureSpec(f"f{index}", compile_feature(text, schema)))
        feature_queries[f"f{index}"] = parse(text)
    world = World(START, lists=LISTS, segments=queries)
    return Scenario(generator, queries, feature_queries, build_plan(specs, feature_specs), world)


def live(story: Scenario, steps: int) -> None:
    """Let random things happen: events late, early, doubled; new attributes; time."""
    sent: list[NaiveEvent] = []
    generator, now = story.generator, START
    for number in range(steps):
        if number:
            now += generator.pick(0, 0, 1, MINUTE, generator.offset())
        what = generator.random.random()
        if what < 0.65 or not number:
            event = generator.pick(*sent) if sent and generator.chance(0.1) else generator.event(number, now)
            sent.append(event)
            story.happen(now, event)
        elif what < 0.8:
            story.happen(now, None)
        else:
            story.advance(now)
