"""`freshet segments backtest` over real data finds the members that the oracles name.

The expressions of the oracles are those of `tests/golden/pql/oracles`; CDNOW and Online Shoppers have no oracle, so
their truth is counted here, row by row.
"""

import csv
import hashlib
import io
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shared.cli.__main__ import main
from shared.kernel.clock import DAY, parse_instant

HERE = Path(__file__).parent
ORACLES = HERE.parent / "pql" / "oracles"
T, END = "2020-12-29T12:00:00Z", "2021-01-05T00:00:00Z"
AT_T = ("G02_view3_24h_no_purchase", "G04_open_cart_7d", "G07_new_and_back_24h")
"""Oracles about the instant T; the others are about the whole period."""

pytestmark = [pytest.mark.data, pytest.mark.timeout(600)]

Found = dict[str, dict[str, tuple[int, str]]]
"""By segment and instant: count and md5."""


def backtest(tmp_path: Path, definitions: Path, events: Path, mapping: str, at: Iterable[str]) -> Found:
    output = tmp_path / "out.json"
    given = {"--definitions": definitions, "--events": events, "--mapping": mapping, "--output": output}
    options = [str(part) for pair in given.items() for part in pair]
    assert main(["segments", "backtest", *options, "--at", *at, "--quiet"]) == 0
    segments = json.loads(output.read_text())["segments"]
    return {name: {one["at"]: (one["count"], one["md5"]) for one in found} for name, found in segments.items()}


def oracles(data: Path, prefix: str) -> dict[str, dict[str, Any]]:
    told = json.loads((data / "oracles_dev.json").read_text())
    return {one["id"].removeprefix(prefix): one for one in told if one["id"].startswith(prefix)}


def segments_of(told: dict[str, dict[str, Any]]) -> dict[str, tuple[int, str]]:
    return {name: (one["count"], one["md5"]) for name, one in told.items() if one["kind"] == "segment"}


def lines_of(path: Path) -> io.TextIOWrapper:
    return io.TextIOWrapper(pa.input_stream(str(path), compression="zstd"), encoding="utf-8")


def told(ids: Iterable[str]) -> tuple[int, str]:
    names = sorted(ids)
    return len(names), hashlib.md5("\n".join(names).encode()).hexdigest()


def test_all_segments_of_the_google_store_have_the_oracles_members(data: Path, tmp_path: Path) -> None:
    truth = oracles(data, "GA4DEV.")
    series = dict(truth["G14_open_cart_by_day"]["series"])

    found = backtest(tmp_path, ORACLES / "ga4", data / "ga4_merch_store", "ga4", [T, END, *series])

    at = {name: T if name in AT_T else END for name in found}
    assert segments_of(truth) == {name: found[name][at[name]] for name in found}
    assert series == {day: found["G04_open_cart_7d"][day][0] for day in series}


def test_all_segments_of_luma_have_the_oracles_members(data: Path, tmp_path: Path) -> None:
    end = "2018-12-25T00:00:00Z"

    found = backtest(tmp_path, ORACLES / "luma", data / "luma", "luma", [end])

    assert segments_of(oracles(data, "LU.")) == {name: one[end] for name, one in found.items()}


@pytest.mark.parametrize("at", ["1997-06-30T00:00:00Z", "1998-07-01T00:00:00Z"])
def test_cdnow_customers_are_where_their_purchases_put_them(data: Path, tmp_path: Path, at: str) -> None:
    path, now = data / "cdnow" / "CDNOW_master.txt.zst", parse_instant(at)
    days: dict[str, list[int]] = defaultdict(list)
    cents: dict[str, int] = defaultdict(int)
    with lines_of(path) as lines:
        for customer, day, _, dollars in (line.split() for line in list(lines)[1:] if line.strip()):
            instant = parse_instant(f"{day[:4]}-{day[4:6]}-{day[6:]}")
            if instant < now:
                days[customer].append(instant)
                cents[customer] += round(float(dollars) * 100)
    ordered = {customer: sorted(found) for customer, found in days.items()}

    found = backtest(tmp_path, HERE / "cdnow", path, "cdnow", [at])

    assert {name: one[at] for name, one in found.items()} == {
        "bought_again_within_30_days": told(
            id_ for id_, d in ordered.items() if any(b - a <= 30 * DAY for a, b in itertools.pairwise(d))
        ),
        "lapsed_180_days": told(id_ for id_, d in ordered.items() if now - d[-1] > 180 * DAY),
        "spent_100": told(id_ for id_, total in cents.items() if total >= 10_000),
        "three_purchases_in_90_days": told(
            id_ for id_, d in ordered.items() if sum(now - one <= 90 * DAY for one in d) >= 3
        ),
    }


def test_online_shoppers_are_where_their_session_puts_them(data: Path, tmp_path: Path) -> None:
    path, at = data / "online_shoppers" / "online_shoppers_intention.csv.zst", "2018-01-01T00:00:00Z"
    with lines_of(path) as lines:
        rows = list(enumerate(csv.DictReader(lines), start=2))

    found = backtest(tmp_path, HERE / "online_shoppers", path, "online_shoppers", [at])

    assert {name: one[at] for name, one in found.items()} == {
        "browsed_and_left": told(
            str(number)
            for number, row in rows
            if row["VisitorType"] == "Returning_Visitor"
            and int(row["ProductRelated"]) >= 50
            and row["Revenue"] == "FALSE"
        ),
        "weekend_buyers": told(
            str(number) for number, row in rows if row["Weekend"] == "TRUE" and row["Revenue"] == "TRUE"
        ),
    }
