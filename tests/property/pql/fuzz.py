"""Random lives in bulk, on all cores.

`python -m tests.property.pql.fuzz --minutes 60 [--first SEED] [--steps 5]` searches for as long as you like,
`python -m tests.property.pql.fuzz --seed SEED` lives one life again and tells its whole story. Exits 1 if engine and
naive evaluator disagree.
"""

import argparse
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field

from tests.property.pql.grammar import FORMS, forms_of, table
from tests.property.pql.life import live, small

STEPS = 5
CHUNK = 250
"""Lives a process lives before it reports."""
STORY_MAX = 6_000
FAILURES_MAX = 20


@dataclass
class Report:
    """How many lives were lived, what happened in them, which forms of the grammar their definitions used, and the
    story of each that failed, by its seed."""

    lives: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)

    def add(self, other: "Report") -> None:
        self.lives += other.lives
        self.seen += other.seen
        self.forms += other.forms
        self.failures.update(other.failures)

    @property
    def unwritten(self) -> list[str]:
        """The forms that no definition used."""
        return sorted(FORMS - {form for form, count in self.forms.items() if count})

    def __str__(self) -> str:
        happened = ", ".join(f"{count:,} {what}" for what, count in sorted(self.seen.items()))
        return f"{self.lives:,} lives, {len(self.failures)} disagreements ({happened})"


def reproduction(seed: int, steps: int = STEPS) -> str:
    """The command that lives a life again."""
    return f"python -m tests.property.pql.fuzz --seed {seed} --steps {steps}"


def chunk(first: int, count: int, steps: int = STEPS) -> Report:
    """Live `count` lives from seed `first`."""
    report = Report()
    for seed in range(first, first + count):
        story = small(seed)
        try:
            live(story, steps)
        # Whatever breaks the engine is a finding, and the search goes on.
        except Exception as error:
            told = str(error) if isinstance(error, AssertionError) else story.explain(repr(error))
            report.failures[seed] = told[:STORY_MAX]
        report.lives += 1
        report.seen += story.seen
        expressions = [spec.expression for spec in story.specs.values()]
        expressions += [spec.expression for spec in story.feature_specs.values()]
        for expression in expressions:
            report.forms += forms_of(expression.query)
    return report


def search(first: int, lives: int | None, minutes: float, steps: int = STEPS, processes: int = 0) -> Iterator[Report]:
    """Yield the sum so far after every chunk, until the lives or the minutes are over or too much has failed."""
    processes = processes or min(os.cpu_count() or 1, 8)
    end, total, begun = time.monotonic() + minutes * 60, Report(), 0
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        running: set[Future[Report]] = set()
        while True:
            going_on = time.monotonic() < end and len(total.failures) < FAILURES_MAX
            while going_on and len(running) < processes and (lives is None or begun < lives):
                count = CHUNK if lives is None else min(CHUNK, lives - begun)
                running.add(pool.submit(chunk, first + begun, count, steps))
                begun += count
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                total.add(future.result())
            yield total


def main() -> int:
    """Search until the time is over, or live one life again."""
    parser = argparse.ArgumentParser(description="Compare the engine with the naive evaluator on random lives.")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--first", type=int, default=random.SystemRandom().randrange(2**40), help="the first seed")
    parser.add_argument("--steps", type=int, default=STEPS, help="happenings in a life")
    parser.add_argument("--seed", type=int, help="live this life only, and tell its story")
    given = parser.parse_args()
    if given.seed is not None:
        story = small(given.seed)
        live(story, given.steps)
        tell(story.explain(f"seed {given.seed}: engine and naive evaluator agree"))
        return 0
    told, known, report = time.monotonic(), set[int](), Report()
    tell(f"seeds from {given.first}, {given.minutes:g} minutes")
    for report in search(given.first, None, given.minutes, given.steps):
        for seed in sorted(report.failures.keys() - known):
            tell(f"seed {seed}: {report.failures[seed]}\nlive it again: {reproduction(seed, given.steps)}")
        known = set(report.failures)
        if time.monotonic() - told > 60:
            told = time.monotonic()
            tell(str(report))
    tell(table(report.forms))
    tell(f"{report}\nseeds {given.first} to {given.first + report.lives - 1}")
    return 1 if report.failures else 0


def tell(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
