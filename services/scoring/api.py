"""Scoring over HTTP: which models are in charge."""

from typing import Any

from fastapi import FastAPI

from services.scoring.ports import Champions
from shared.kernel.clock import format_instant


def add_routes(api: FastAPI, champions: Champions) -> None:
    """Adds the routes of scoring to `api`."""

    @api.get("/champions", tags=["models"])
    async def in_charge() -> dict[str, Any]:
        """The versions whose scores are written now."""
        events = [champion.event for champion in champions.served.values()]
        return {
            "champions": [
                {
                    "model": event.model,
                    "version": event.version,
                    "digest": event.digest,
                    "revision": event.revision,
                    "movedAt": format_instant(event.occurred_at),
                    "featureSet": event.manifest.feature_set,
                }
                for event in events
            ]
        }
