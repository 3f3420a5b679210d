"""Nobody has to send anything for a window to close."""

import pytest

from tests.e2e.conftest import Shop

pytestmark = pytest.mark.platform


def test_a_profile_that_falls_silent_leaves_when_its_window_closes(shop: Shop) -> None:
    active = shop.define("xEvent[timestamp occurs <= 3 seconds before now].count() > 0")
    person = shop.person()

    shop.send(shop.event(person, "commerce.productViews"))

    shop.wait_status(person, active, "realized")
    shop.wait_status(person, active, "exited")


def test_a_profile_enters_because_nothing_happened(shop: Shop) -> None:
    """Absence is an entry by time alone."""
    quiet = shop.define(
        'xEvent[eventType = "commerce.productListAdds"].count() > 0 '
        "and xEvent[timestamp occurs <= 2 seconds before now].count() = 0"
    )
    person = shop.person()

    shop.send(shop.event(person, "commerce.productListAdds"))

    shop.wait_status(person, quiet, "realized")
