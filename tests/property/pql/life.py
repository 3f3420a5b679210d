"""What may happen in a life: events late, early, doubled and in batches; new attributes; time; merges; new definitions.

A life is short, so that many fit into a minute and a failing one can be read: one or two segments, a feature at most,
a dozen events at most.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from shared.pql import (
    FeatureSpec,
    Plan,
    PlanError,
    SegmentSpec,
    build_plan,
    compile_segment,
    decode_state,
    encode_state,
    evaluate,
    merge_states,
    new_state,
)
from tests.property.pql.scenario import (
    DECLARED,
    LISTS,
    PERMISSIVE,
    Scenario,
    accepted,
    as_sent,
    feature_of,
    queries,
    scenario,
    segment_of,
)
from tests.support.naive.evaluate import NaiveEvent, World
from tests.support.naive.generate import DAY, MINUTE, START

EVENTS_MAX = 12
Spec = TypeVar("Spec", SegmentSpec, FeatureSpec)


def small(seed: int) -> Scenario:
    """A small plan; as in all lives, the seed decides everything."""
    return scenario(seed, segments=1 + seed % 2, features=seed // 2 % 2, depth=(1, 1, 0, 2)[seed // 4 % 4])


def live(story: Scenario, steps: int) -> None:
    """Let `steps` random things happen, then the same records once more in another order, then what time brings."""
    kinds = {id(PERMISSIVE): "undeclared schemas", id(DECLARED): "declared schemas"}
    story.seen[kinds.get(id(story.schema), "random schemas")] += 1
    now = START
    for number in range(steps):
        if number:
            now = _next_instant(story, now)
        what = story.generator.random.random()
        if what < 0.55 or not number:
            story.happen(now, _batch(story, now, "e"))
        elif what < 0.65:
            story.happen(now, [])
        elif what < 0.75:
            story.advance(now)
        elif what < 0.92:
            redefine(story, now)
        else:
            absorb(story, now)
    relive(story, story.plan, now)
    for _ in range(2):
        if story.deadline is not None:
            story.advance(story.deadline)


def _next_instant(story: Scenario, now: int) -> int:
    generator = story.generator
    if story.deadline is not None and story.deadline > now and generator.chance(0.5):
        return story.deadline - int(generator.pick(0, 0, 1))
    return now + int(generator.pick(0, 0, 1, MINUTE, generator.offset()))


def _batch(story: Scenario, now: int, prefix: str) -> list[NaiveEvent]:
    """Up to three events, seldom more of them than the life may have; some are sent again."""
    generator, sent = story.generator, list(story.world.events)
    size = min(generator.pick(1, 1, 2, 3), EVENTS_MAX - len(sent))
    batch: list[NaiveEvent] = []
    for _ in range(max(1, size)):
        known = [*sent, *batch]
        again = bool(known) and (len(known) >= EVENTS_MAX or generator.chance(0.1))
        event = generator.pick(*known) if again else generator.event(0, now)
        if not again:
            event = replace(event, id=f"{prefix}{len(known)}")
        _count(story, event, known, now)
        batch.append(event)
    story.seen["batches of several"] += len(batch) > 1
    return batch


def _count(story: Scenario, event: NaiveEvent, known: list[NaiveEvent], now: int) -> None:
    doubled = any(other.id == event.id for other in known)
    story.seen["events"] += 1
    story.seen["doubled events"] += doubled
    story.seen["late events"] += event.occurred_at <= now - DAY
    story.seen["future events"] += event.occurred_at > now
    story.seen["events at the same instant"] += not doubled and any(e.occurred_at == event.occurred_at for e in known)
    story.seen["null and odd values"] += any(value in (None, [], {}, [1, None]) for value in event.body.values())


def absorb(story: Scenario, now: int) -> None:
    """Another profile, with a life of its own until now, turns out to be the same person."""
    generator = story.generator
    story.bring_to(now)
    known = story.world
    world = World(START, profile_id="u2", lists=LISTS, segments=known.segments, instants=known.instants)
    other = replace(story, world=world, state=new_state(), members=set(), deadline=None)
    at = now - generator.offset()
    for _ in range(generator.pick(1, 2)):
        other.happen(at, [*_batch(other, at, f"m{story.seen['merges']}-"), *_shared(story)])
        at = min(now, at + generator.offset())
    position = len(story.world.timeline)
    absorbed = {**story.world.absorbed, position: other.world.timeline}
    story.world = replace(story.world, events=(*story.world.events, *other.world.events), absorbed=absorbed)
    story.say("absorbs u2", now)
    story.take_attributes(now)
    outcome = merge_states(story.plan, story.state, other.state, story.profile, now)
    story.note(outcome)
    story.finish(outcome)
    story.seen["merges"] += 1


def _shared(story: Scenario) -> list[NaiveEvent]:
    """Now and then an event that the survivor has seen, too. Running totals count such a one twice, as documented."""
    known = story.world.events
    if not known or any(spec.family == "tally" for spec in story.plan.leaves) or story.generator.chance(0.5):
        return []
    story.seen["events seen by both of a merge"] += 1
    return [story.generator.pick(*known)]


def redefine(story: Scenario, now: int) -> None:
    """A segment or feature is added, edited or removed.

    A plan that asks for no history that is not kept is taken up by the living state, else all is lived again.
    """
    kind, specs, features = _redefined(story)
    try:
        plan = build_plan(_shuffled(story, specs), _shuffled(story, features), story.plan)
    except PlanError:
        # An edit has closed a circle of references: nothing changes.
        story.seen["refused cycles"] += 1
        return
    story.say(f"{kind}, segments {sorted(specs)}", now)
    story.seen[kind] += 1
    if story.generator.chance(0.7):
        story.bring_to(now)
    story.specs, story.feature_specs = specs, features
    story.world = replace(story.world, now=now, segments=queries(specs))
    if plan.state_keys - story.plan.state_keys:
        story.seen["backfills"] += 1
        relive(story, plan, now)
        return
    story.seen["plans taken up in place"] += 1
    story.plan = plan
    outcome = evaluate(plan, story.state, story.profile, None, now)
    story.note(outcome)
    story.finish(outcome)


def _redefined(story: Scenario) -> tuple[str, dict[str, SegmentSpec], dict[str, FeatureSpec]]:
    generator, specs, features = story.generator, dict(story.specs), dict(story.feature_specs)
    kind = generator.pick("adding", "editing", "editing", "removing", "features changed")
    generator.segments = sorted(specs)
    if kind == "removing" and specs:
        del specs[generator.pick(*sorted(specs))]
    elif kind == "features changed":
        features = {} if features else {"f0": FeatureSpec("f0", feature_of(generator, story.schema))}
    elif kind == "editing" and specs:
        name = generator.pick(*sorted(specs))
        specs[name] = _edited(story, specs[name])
    else:
        kind, name = "adding", f"s{generator.random.randrange(4)}"
        version = specs[name].version + 1 if name in specs else 1
        specs[name] = SegmentSpec(name, version, segment_of(generator, story.schema, 1))
    return kind, specs, features


def _edited(story: Scenario, spec: SegmentSpec) -> SegmentSpec:
    """Another condition; mostly one that asks the same questions to history."""
    generator, text = story.generator, spec.expression.text
    others = [other.expression.text for other in story.specs.values()]
    if generator.chance(0.3) or len(text) > 2_000:
        expression = segment_of(generator, story.schema, 1)
    else:
        changed = generator.pick(
            f"not ({text})",
            f"({text}) and ({generator.pick(*others)})",
            f"({text}) or {generator.on_profile(0)}",
            f'({text}) or inSegment("s{generator.random.randrange(4)}")',
        )
        expression = accepted(changed, story.schema, compile_segment) or spec.expression
    return SegmentSpec(spec.id, spec.version + 1, expression)


def _shuffled(story: Scenario, specs: Mapping[str, Spec]) -> list[Spec]:
    return story.generator.random.sample(list(specs.values()), len(specs))


def relive(story: Scenario, plan: Plan, now: int) -> None:
    """The same records come to a fresh state in another order, at other instants and in other batches."""
    generator = story.generator
    story.plan, story.state, story.members = plan, new_state(), set()
    records = generator.random.sample(list(story.world.events), len(story.world.events))
    at = now - generator.pick(0, generator.offset())
    attributes = story.world.attributes
    story.world = replace(story.world, now=now, timeline=((at, attributes),), absorbed={})
    story.note(evaluate(plan, story.state, story.profile, None, at))
    for event in records:
        at = min(now, at + generator.pick(0, 0, MINUTE, DAY))
        story.note(evaluate(plan, story.state, story.profile, as_sent(event), at))
        if generator.chance(0.3):
            story.state = decode_state(encode_state(story.state))
    story.say("has lived again", now)
    outcome = evaluate(plan, story.state, story.profile, None, now)
    story.note(outcome)
    story.finish(outcome)
    story.seen["permutations"] += 1
