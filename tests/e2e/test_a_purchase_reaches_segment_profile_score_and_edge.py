"""One event's whole way."""

import pytest

from tests.e2e.conftest import NAMESPACE, Shop, shop_model
from tests.support.waiting import wait_until

pytestmark = pytest.mark.platform


def test_a_purchase_reaches_segment_profile_score_and_edge(shop: Shop) -> None:
    """The model says 0.5 at 100 spent and grows with it; the segment on the score follows the purchase."""
    shop.promote("propensity", shop.upload(*shop_model(shop, "propensity", [0.0, 0.0, 0.02], -2.0)))
    wait_until(lambda: shop.client.edge.ready("propensity"), "the edge serves the champion")
    buyers = shop.define('xEvent[eventType = "commerce.purchases"].sum(commerce.order.priceTotal) >= 150')
    likely = shop.define("_freshet.propensity >= 0.7")
    person = shop.person()

    shop.send(shop.event(person, "commerce.productViews"), shop.purchase(person, 120.0))
    shop.send(shop.purchase(person, 80.0))

    shop.wait_status(person, buyers, "realized")
    shop.wait_status(person, likely, "realized")
    entity = shop.entity(person)
    members = set(shop.client.profiles.members(buyers)["members"])
    prediction = shop.client.edge.predict("propensity", NAMESPACE, person)
    # 0.02 * 200 - 2 = 2, and the edge, the stream and the profile agree on its logistic.
    assert pytest.approx(0.8807970, abs=1e-6) == entity["_freshet"]["propensity"]
    assert pytest.approx(entity["_freshet"]["propensity"], abs=1e-7) == prediction["score"]
    assert prediction["profileId"] in members
    assert [{"id": person, "primary": True}] == entity["identityMap"][NAMESPACE]


def test_profile_attributes_and_events_meet_in_one_profile(shop: Shop) -> None:
    koreans = shop.define('homeAddress.countryCode = "KR" and xEvent[eventType = "commerce.productViews"].count() >= 1')
    person = shop.person()
    record = shop.event(person, "")
    attributes = {"homeAddress": {"countryCode": "KR"}, "identityMap": record.body.xdm_entity["identityMap"]}

    shop.send(shop.event(person, "commerce.productViews"))
    shop.send(type(record)(type(record.header)(shop.profiles), type(record.body)(attributes)))

    shop.wait_status(person, koreans, "realized")
    assert "KR" == shop.entity(person)["homeAddress"]["countryCode"]
