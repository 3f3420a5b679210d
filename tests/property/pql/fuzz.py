"""Fuzzing for hours: `python -m tests.property.pql.fuzz --minutes 60 [--first SEED] [--steps 8]`.

Prints one line a minute and, for every disagreement, the seed and the whole story; exits 1 if there was one.
"""

import argparse
import random
import sys
import time

from shared.pql import PqlError
from tests.property.pql.scenario import live, scenario


def main() -> int:
    """Run random lives until the time is over."""
    parser = argparse.ArgumentParser(description="Compare the engine with the naive evaluator on random lives.")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--first", type=int, default=random.SystemRandom().randrange(2**40), help="the first seed")
    parser.add_argument("--steps", type=int, default=8, help="happenings in a life")
    given = parser.parse_args()
    end = time.monotonic() + given.minutes * 60
    seed, failures, told = given.first, 0, time.monotonic()
    while time.monotonic() < end:
        failures += not agrees(seed, given.steps)
        seed += 1
        if time.monotonic() - told > 60:
            told = time.monotonic()
            tell(f"{seed - given.first} lives, {failures} disagreements, next seed {seed}")
    tell(f"{seed - given.first} lives from seed {given.first}, {failures} disagreements")
    return 1 if failures else 0


def tell(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def agrees(seed: int, steps: int) -> bool:
    """Run one life; an expression that the declared types refuse is no life at all."""
    try:
        story = scenario(seed)
    except PqlError:
        return True
    try:
        live(story, steps)
    except Exception as error:
        tell(f"seed {seed}: {error!r}"[:4_000])
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
