"""Does the fuzz notice? Seeded defects of the engine, one at a time, and how many lives it takes to catch each.

`python -m tests.property.pql.mutants [--lives 4000] [--only NAME]` prints a table. A mutant is a change of one place in
the source of a module, made while the module is imported, in a process of its own; where the text has gone from the
module the run fails and names the mutant, so that the list keeps up with the engine. Exits 1 if a defect survives.
"""

import argparse
import importlib
import importlib.abc
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from types import CodeType, ModuleType

from tests.property.pql.defects import MUTANTS, ROOT, Mutant

FIRST = 0
STEPS = 5


class Loader(SourceFileLoader):
    """Loads the mutant's module with its defect."""

    def __init__(self, fullname: str, mutant: Mutant) -> None:
        super().__init__(fullname, str(mutant.path))
        self.mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        # Past the cache of compiled modules, which knows nothing of the defect.
        return compile(self.mutant.source(), str(self.mutant.path), "exec")


class Finder(importlib.abc.MetaPathFinder):
    """Finds the mutant's module before anybody else does."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != f"shared.pql.{self.mutant.module}":
            return None
        return spec_from_file_location(fullname, self.mutant.path, loader=Loader(fullname, self.mutant))


def hunted(mutant: Mutant | None, lives: int) -> int | None:
    """In this process: how many lives it takes until one fails; None if none does."""
    if mutant is not None:
        sys.meta_path.insert(0, Finder(mutant))
    life = importlib.import_module("tests.property.pql.life")
    for number in range(lives):
        try:
            life.live(life.small(FIRST + number), STEPS)
        # A defect may show as a disagreement or as an exception.
        except Exception:
            return number + 1
    return None


def hunt(mutant: Mutant, lives: int, timeout_s: float = 600) -> int | None:
    """The same in a process of its own. A mutant that hangs is caught, too: 0 lives."""
    command = [sys.executable, "-m", "tests.property.pql.mutants", "--hunt", mutant.name, "--lives", str(lives)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return 0
    if done.returncode != 0:
        raise LookupError(done.stderr.strip().split("\n")[-1])
    return None if done.stdout == "None" else int(done.stdout)


def table(found: Iterator[tuple[Mutant, int | None]]) -> Iterator[str]:
    """Lines of a Markdown table."""
    yield "| Defect | In | Caught after lives |"
    yield "|---|---|---|"
    for mutant, lives in found:
        caught = "**survives**" if lives is None else f"{lives:,}" if lives else "it hangs"
        yield f"| {mutant.name} | `{mutant.module}` | {caught} |"


def main() -> int:
    """Hunt all mutants, or the named one."""
    parser = argparse.ArgumentParser(description="Seed defects into the engine and see whether the fuzz catches them.")
    parser.add_argument("--lives", type=int, default=4_000)
    parser.add_argument("--only", help="a part of the names to hunt")
    parser.add_argument("--hunt", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.hunt is not None:
        lives = hunted(next(mutant for mutant in MUTANTS if mutant.name == given.hunt), given.lives)
        sys.stdout.write(str(lives))
        return 0
    chosen = [mutant for mutant in MUTANTS if (given.only or "") in mutant.name]
    survived = False
    for line in table((mutant, hunt(mutant, given.lives)) for mutant in chosen):
        survived |= "**survives**" in line
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
