"""Seeded defects of the engine: each a change of one place in the source of one module."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Mutant:
    """A defect: in `module` of `shared.pql` the text `before`, which occurs once, becomes `after`."""

    name: str
    module: str
    before: str
    after: str

    @property
    def path(self) -> Path:
        return ROOT / "shared" / "pql" / f"{self.module.replace('.', '/')}.py"

    def source(self) -> str:
        """The module's text with the defect. Raises LookupError if the place is not there, or not once."""
        text = self.path.read_text()
        if text.count(self.before) != 1:
            found = text.count(self.before)
            raise LookupError(f"mutant `{self.name}`: {self.path} holds the text {found} times, expected once")
        return text.replace(self.before, self.after)


MUTANTS = (
    Mutant(
        "window one microsecond too short",
        "check_time",
        'if comparison == "<" else 0)',
        'if comparison == "<" else -sign)',
    ),
    Mutant(
        "deadline one microsecond too late",
        "windows",
        "return instant - self.micros + 1",
        "return instant - self.micros + 2",
    ),
    Mutant(
        "window's end ignores now",
        "windows",
        "else min(now, end_value(self.high, now))",
        "else end_value(self.high, now)",
    ),
    Mutant(
        "entry by time not foreseen",
        "windows",
        "        if self.high is None:\n            return instant\n",
        "        if self.high is None:\n            return NEVER\n",
    ),
    Mutant("duplicates not recognised", "state", "        if event in guard:\n            return False\n", ""),
    Mutant("guard forgotten when profiles merge", "merging", "    state.remember_all(other.guard)\n", ""),
    Mutant("equal times in falling order", "leaves.base", "if events[index] > event:", "if events[index] < event:"),
    Mutant(
        "late events not sorted in", "leaves.base", "    index = bisect_left(times, at)\n", "    index = len(times)\n"
    ),
    Mutant("an entry kept twice", "leaves.base", "            return -1\n", "            return index\n"),
    Mutant("merge forgets one side's entries", "leaves.base", "in enumerate(right[0]):", "in enumerate(right[0][:0]):"),
    Mutant("merge keeps one profile's leaf", "merging", "= leaves[key].merge(mine, value, run.now)", "= mine"),
    Mutant("has-been begins with the later profile", "merging", "= min(mine, value)", "= max(mine, value)"),
    Mutant(
        "has-been begins anew", "evaluator", "leaves.setdefault(since.key, self.now)", "leaves[since.key] = self.now"
    ),
    Mutant("has-been never ends", "evaluator", "leaves.pop(since.key, None)", "pass"),
    Mutant("tally counts the future", "leaves.tally", "        if at <= now:\n", "        if at:\n"),
    Mutant("tally settles one microsecond late", "leaves.tally", "times[come] <= now", "times[come] < now"),
    Mutant("count asks for one too few", "thresholds", '">": (1, False)', '">": (0, False)'),
    Mutant(
        "horizon of the newest instead of the k-th",
        "leaves.window",
        "until = times[-wanted] + self.lookback + 1",
        "until = times[-1] + self.lookback + 1",
    ),
    Mutant(
        "window drops its oldest event",
        "leaves.window",
        "drop_oldest(state, bisect_left(times, low))",
        "drop_oldest(state, bisect_left(times, low) + 1)",
    ),
    Mutant("general leaf cuts what is compared whole", "leaves.general", "child if name in whole else prune", "prune"),
    Mutant("deadlines before an event are skipped", "evaluator", "if state.earliest < reached:", "if not run:"),
    Mutant("total of events counts one too many", "arrival", "kept = leaves[key] = [0]", "kept = leaves[key] = [1]"),
    Mutant(
        "segments of segments not judged again", "evaluator", "            if changed:\n", "            if not self:\n"
    ),
    Mutant(
        "a plan's change does not reach those who refer",
        "evaluator",
        "if segment.condition.references & changed)",
        "if not changed)",
    ),
    Mutant(
        "gap of a pair one microsecond too short",
        "arrival",
        "            since = at - times[before - 1]\n",
        "            since = at - times[before - 1] + 1\n",
    ),
    Mutant(
        "chain takes equal times for order",
        "leaves.matching",
        "reached = later[bisect_right(later, reached[0]) :]",
        "reached = later[bisect_left(later, reached[0]) :]",
    ),
    Mutant(
        "negated step too narrow by its end",
        "leaves.matching",
        "found = bisect_right(times, high)",
        "found = bisect_left(times, high)",
    ),
    Mutant(
        "total span ignored",
        "leaves.matching",
        "if best > -NEVER and (total is None or at - best <= total):",
        "if best > -NEVER:",
    ),
    Mutant("decay one step ahead", "leaves.decay", "age = present - at // step", "age = present - at // step + 1"),
    Mutant(
        "month's last day overflows",
        "calendar",
        "days_from_civil(year, month, day) * DAY + time_of_day",
        "days_from_civil(year, month, day) * DAY",
    ),
    Mutant(
        "null differs from something",
        "operators",
        "if left is None or right is None or left != left",
        "if left is None and right is None or left != left",
    ),
    Mutant("notIn holds for null", "operators", "or value is None or value == []", "or value == []"),
    Mutant(
        "declared arrays of instants stay text",
        "check_values",
        'if _innermost(value.type).kind == "instant" else value',
        "if not value else value",
    ),
)
