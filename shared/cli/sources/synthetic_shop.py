"""Bodies for the synthetic web shop: who the people are, what they look at and what it costs.

Everything derives from (seed, person, instant) by a mixing function, so an event's body does not depend on which
other events were made before it.
"""

from dataclasses import dataclass
from typing import Any

from shared.cli.sources.synthetic_process import (
    CLICKED,
    DISMISS,
    DISPLAY,
    FORM,
    INTERACT,
    KINDS,
    LINK,
    OPENED,
    PAGE,
    PRODUCT,
    PURCHASE,
    SENT,
)
from shared.kernel.clock import format_instant
from shared.kernel.ids import digest_id

NAMESPACE = "ECID"
SITE = "https://shop.example"

_MASK = 0xFFFFFFFFFFFFFFFF
_FIRST_NAMES = ("Ada", "Ben", "Chloé", "Dmitri", "Elif", "Farid", "Grace", "Hiro", "Ines", "Jonas", "Kira", "Luis")
_LAST_NAMES = ("Abe", "Berg", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Haddad", "Ito", "Jansen", "Kaya")
_PLACES = (
    ("US", "Portland"),
    ("US", "Austin"),
    ("US", "Boston"),
    ("GB", "Leeds"),
    ("DE", "Hamburg"),
    ("FR", "Lyon"),
    ("JP", "Osaka"),
    ("BR", "Recife"),
)
_CATEGORIES = ("shoes", "bags", "shirts", "mugs", "posters")
_CAMPAIGNS = ("spring-sale", "new-arrivals", "come-back")
_TIERS = ((500.0, "gold"), (150.0, "silver"), (0.0, "bronze"))


@dataclass(frozen=True, slots=True)
class Person:
    """What never changes about a person: derived from the seed and the person's number."""

    number: int
    email: str
    ecid: str
    draw: int


def mixed(*parts: int) -> int:
    """Returns 64 well-mixed bits of `parts` (splitmix64)."""
    value = 0
    for part in parts:
        value = (value + part + 0x9E3779B97F4A7C15) & _MASK
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
        value ^= value >> 31
    return value


def person_of(seed: int, number: int) -> Person:
    """The ECID is 38 digits: two 63-bit halves of a digest of the e-mail address, each padded to 19."""
    email = f"synthetic-user-{number}@shop.example"
    digest = int(digest_id("ecid", email), 16)
    ecid = f"{(digest >> 64) & (_MASK >> 1):019d}{digest & (_MASK >> 1):019d}"
    return Person(number, email, ecid, mixed(seed, number))


def price_of(product: int) -> float:
    """Prices in EUR, from 8.00 to 127.75 in quarters, so that sums are exact."""
    return 8.0 + (mixed(product, 7) % 480) * 0.25


def profile_body(person: Person) -> dict[str, Any]:
    """The record that introduces a person, sent just before the first event."""
    draw = person.draw
    country, city = _PLACES[draw % len(_PLACES)]
    body: dict[str, Any] = {
        "_id": digest_id("record", person.ecid, "profile"),
        "identityMap": {
            NAMESPACE: [{"id": person.ecid, "primary": True}],
            "Email": [{"id": person.email, "primary": False}],
        },
        "person": {
            "name": {
                "firstName": _FIRST_NAMES[(draw >> 8) % len(_FIRST_NAMES)],
                "lastName": _LAST_NAMES[(draw >> 16) % len(_LAST_NAMES)],
            },
            "birthYear": 1945 + (draw >> 24) % 60,
        },
        "personalEmail": {"address": person.email},
        "homeAddress": {"countryCode": country, "city": city},
    }
    if (draw >> 32) % 10 < 3:
        body["loyalty"] = {"tier": "bronze", "points": 0}
    return body


def loyalty_body(person: Person, spent: float, purchase_id: str) -> dict[str, Any]:
    """The record that a purchase leaves on a profile: points, and the tier they bring."""
    tier = next(name for least, name in _TIERS if spent >= least)
    return {
        "_id": digest_id("record", person.ecid, purchase_id),
        "identityMap": {NAMESPACE: [{"id": person.ecid, "primary": True}]},
        "loyalty": {"tier": tier, "points": int(spent)},
    }


def event_body(person: Person, at_us: int, kind: int) -> dict[str, Any]:
    """An XDM ExperienceEvent of `kind` at `at_us` (µs)."""
    draw = mixed(person.draw, at_us, kind)
    phone = (person.draw >> 40) % 2 == 0
    # One person in four changes between two devices.
    second = (person.draw >> 44) % 4 == 0 and draw % 3 == 0
    body: dict[str, Any] = {
        "_id": digest_id("event", person.ecid, str(at_us), KINDS[kind].event_type),
        "timestamp": format_instant(at_us),
        "eventType": KINDS[kind].event_type,
        "identityMap": {NAMESPACE: [{"id": person.ecid, "primary": True}]},
        "device": {"type": "mobile" if phone != second else "desktop"},
    }
    _describe(body, kind, draw)
    return body


def _describe(body: dict[str, Any], kind: int, draw: int) -> None:
    product = draw % 200
    category = _CATEGORIES[product % len(_CATEGORIES)]
    if kind in (PAGE, LINK, FORM):
        path = "newsletter" if kind == FORM else category
        body["web"] = {"webPageDetails": {"URL": f"{SITE}/{path}", "name": path}}
    elif kind in (PRODUCT, PURCHASE):
        _add_products(body, kind, draw)
    elif kind in (DISPLAY, INTERACT, DISMISS):
        body["_experience"] = {"decisioning": {"propositionId": f"offer-{draw % 12}"}}
    elif kind in (SENT, OPENED, CLICKED):
        body["directMarketing"] = {"mailingName": _CAMPAIGNS[draw % len(_CAMPAIGNS)]}
    else:
        body["marketing"] = {"trackingCode": _CAMPAIGNS[draw % len(_CAMPAIGNS)]}


def _add_products(body: dict[str, Any], kind: int, draw: int) -> None:
    number = draw % 200
    lines = 1 + (draw >> 16) % 3 if kind == PURCHASE else 1
    items = []
    for line in range(lines):
        product = (number + line * 7) % 200
        quantity = 1 + (draw >> (24 + 4 * line)) % 3 if kind == PURCHASE else 1
        name = f"{_CATEGORIES[product % len(_CATEGORIES)]} {product}"
        total = quantity * price_of(product)
        items.append({"SKU": f"P{product:03d}", "name": name, "quantity": quantity, "priceTotal": total})
    body["productListItems"] = items
    if kind == PURCHASE:
        total = sum(float(str(item["priceTotal"])) for item in items)
        order = {"purchaseID": body["_id"][:12], "priceTotal": total, "currencyCode": "EUR"}
        body["commerce"] = {"order": order, "purchases": {"value": 1}}
