"""The edge takes over a new champion while it answers."""

import threading
from functools import partial

import httpx
import pytest

from tests.e2e.conftest import NAMESPACE, Shop, shop_model
from tests.support.waiting import wait_until

pytestmark = pytest.mark.platform


def test_a_champion_swap_is_seen_by_the_edge_without_a_failed_request(shop: Shop) -> None:
    """Requests run without a pause while the alias moves forth and back; each answer fits the version it names."""
    low, high = (shop.upload(*shop_model(shop, "swap", [0.0, 0.0, 0.0], bias)) for bias in (-2.0, 2.0))
    shop.promote("swap", low)
    wait_until(lambda: shop.client.edge.ready("swap"), "the edge serves the first version")
    person = shop.person()
    shop.send(shop.purchase(person, 1.0))
    wait_until(lambda: shop.entity(person), "the profile is there")
    asker = Asker(shop, person)
    with asker:
        for version in (high, low, high):
            shop.promote("swap", version)
            wait_until(partial(asker.heard, version), f"version {version} answers")

    assert [] == asker.failures
    assert {(low, True), (high, True)} == asker.fits


class Asker:
    """Asks the edge in a thread, as fast as it answers."""

    def __init__(self, shop: Shop, person: str) -> None:
        self._url = f"{shop.system.url('edge_inference')}/predict/swap"
        self._body = {"identity": {"namespace": NAMESPACE, "id": person}}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.failures: list[str] = []
        self.fits: set[tuple[int, bool]] = set()
        self.last = 0

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def heard(self, version: int) -> bool:
        """Tells whether the last answer came from `version`."""
        return self.last == version

    def _ask(self) -> None:
        expected: dict[int, float] = {}
        with httpx.Client(timeout=5.0) as client:
            while not self._stop.is_set():
                answer = client.post(self._url, json=self._body)
                if answer.status_code != 200:
                    self.failures.append(f"{answer.status_code} {answer.text}")
                    continue
                found = answer.json()
                self.last = found["version"]
                # One version has one answer for one person: another one would mean a mixture of models.
                self.fits.add((self.last, expected.setdefault(self.last, found["score"]) == found["score"]))
