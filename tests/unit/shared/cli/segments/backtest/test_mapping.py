"""Mapping files: from rows to events."""

from pathlib import Path

import pytest

from shared.cli.segments.backtest.events import Happening
from shared.cli.segments.backtest.mapping import SHIPPED, EventMapping, load_mapping, xdm_mapping
from shared.cli.segments.errors import WrongInput
from shared.kernel.clock import DAY, SECOND


def mapping(tmp_path: Path, text: str) -> EventMapping:
    path = tmp_path / "mapping.yaml"
    path.write_text(text)
    return load_mapping(str(path), tmp_path)


def test_columns_become_paths_with_types(tmp_path: Path) -> None:
    found = mapping(
        tmp_path,
        """
profile: user
time: {field: day, unit: "%d.%m.%Y"}
type: {field: what, values: {buy: commerce.purchases}, otherwise: "shop.{value}"}
id: [user, day]
fields:
  commerce.order.priceTotal: {field: price, as: number}
  shop.weekend: {field: weekend, as: boolean}
  shop.name: {field: name, drop: ["(not set)"]}
""",
    )

    row = {"user": "7", "day": "02.01.1970", "what": "look", "price": "1.5", "weekend": "TRUE", "name": "(not set)"}
    body = {"commerce": {"order": {"priceTotal": 1.5}}, "shop": {"weekend": True}}
    assert Happening(DAY, "7", "7\x1f02.01.1970", "shop.look", body) == found.happening(row, 1, "f:1")


@pytest.mark.parametrize(
    ("unit", "value"), [("s", 1), ("s", 1.0), ("ms", "1000"), ("us", SECOND), ("ns", 1_000_000_000)]
)
def test_numbers_are_instants_by_their_unit(tmp_path: Path, unit: str, value: object) -> None:
    found = mapping(tmp_path, f"profile: p\ntime: {{field: t, unit: {unit}}}\n").happening({"p": 1, "t": value}, 1, "x")

    assert found is not None
    assert SECOND == found.at


def test_without_a_mapping_events_are_xdm() -> None:
    body = {
        "_id": "e1",
        "timestamp": "1970-01-02T00:00:00Z",
        "eventType": "view",
        "identityMap": {"AAID": [{"id": "a"}], "ECID": [{"id": "b", "primary": True}]},
    }

    assert Happening(DAY, "b", "e1", "view", body) == xdm_mapping().happening(body, 1, "f:1")


def test_a_row_without_a_profile_is_left_out() -> None:
    assert xdm_mapping().happening({"timestamp": "1970-01-02"}, 1, "f:1") is None


def test_a_row_that_does_not_fit_is_named() -> None:
    with pytest.raises(WrongInput, match=r"^f:1: the mapping of XDM events does not fit this row: the row has no time"):
        xdm_mapping().happening({"profile_id": "p"}, 1, "f:1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profil: x\n", "mapping.yaml:1:1: unknown key `profil` in a mapping"),
        ("profile: x\n", "mapping.yaml:1:1: a mapping says `time`"),
        ("profile: x\ntime: t\ntype: {as: number}\n", "mapping.yaml:3:7: a value has one of field, constant, row"),
        ("profile: x\ntime: t\ntype: {field: a, as: int}\n", "mapping.yaml:3:22: `as` is one of number"),
        ("source: nobody\n", "mapping.yaml:1:9: `source` is one of ga4, luma"),
    ],
)
def test_a_wrong_mapping_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(WrongInput) as caught:
        mapping(tmp_path, text)

    assert message in str(caught.value)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_mapping_is_found_by_its_name(path: Path) -> None:
    assert load_mapping(path.stem, Path()).name
