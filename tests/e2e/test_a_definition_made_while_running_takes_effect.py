"""Definitions are live: made, edited and removed while events flow."""

import pytest

from shared.sdk.errors import ApiError
from tests.e2e.conftest import Shop
from tests.support.waiting import wait_until

pytestmark = pytest.mark.platform


def test_a_segment_is_decided_by_from_the_moment_it_is_ready_and_no_longer_after_its_removal(shop: Shop) -> None:
    person = shop.person()
    shop.send(shop.event(person, "commerce.productViews"))

    segment = shop.define('xEvent[eventType = "commerce.checkouts"].count() > 0')
    shop.send(shop.event(person, "commerce.checkouts"))
    shop.wait_status(person, segment, "realized")
    shop.client.segmentation.remove(segment)

    def left() -> bool:
        shop.send(shop.event(person, "commerce.productViews"))
        return shop.status(person, segment) == "exited"

    wait_until(left, "the profile left the removed segment")


def test_an_edited_segment_decides_by_its_new_version(shop: Shop) -> None:
    person = shop.person()
    segment = shop.define('homeAddress.countryCode = "nowhere"')

    shop.client.segmentation.edit(segment, 'xEvent[eventType = "commerce.checkouts"].count() > 0')
    wait_until(lambda: shop.client.segmentation.segment(segment).ready, "the edit is running")
    shop.send(shop.event(person, "commerce.checkouts"))

    shop.wait_status(person, segment, "realized")
    assert 2 == shop.entity(person)["segmentMembership"]["ups"][segment]["version"]


def test_an_expression_with_a_mistake_is_refused_with_its_place_and_a_suggestion(shop: Shop) -> None:
    with pytest.raises(ApiError) as error:
        shop.client.segmentation.define("mistake", "homeAddress.contryCode = 'KR'")
    with pytest.raises(ApiError) as misspelt:
        shop.client.segmentation.define("mistake", 'homeAddress.contryCode = "KR"')

    assert 422 == error.value.status
    assert "line 1" in str(error.value)
    assert "countryCode" in str(misspelt.value)
