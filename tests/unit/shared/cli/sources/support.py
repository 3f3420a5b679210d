"""Where the real data lies, and what is known to be true of it."""

import json
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[5].parent / "shared" / "data"


@cache
def _oracles() -> dict[str, dict[str, Any]]:
    return {entry["id"]: entry for entry in json.loads((DATA / "oracles_dev.json").read_text())}


def oracle(name: str) -> dict[str, Any]:
    return _oracles()[name]
