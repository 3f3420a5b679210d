"""Metrics of the profile store beyond those of every stage."""

from prometheus_client import CollectorRegistry, Counter

from services.profile_store.domain.step import Tally


class ProfileStoreMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        name = "freshet_profile_store"
        self._facts = Counter(f"{name}_facts_total", "Facts merged, by type.", ["type"], registry=registry)
        self._duplicates = Counter(
            f"{name}_duplicates_total", "Facts left out because they were merged already.", registry=registry
        )
        self._memberships = Counter(
            f"{name}_memberships_total", "Members added to and removed from segments.", ["change"], registry=registry
        )
        self._vectors = Counter(f"{name}_vectors_total", "Feature vectors kept for readers.", registry=registry)
        self._lookups = Counter(
            f"{name}_lookups_total", "Entity lookups over HTTP.", ["kind", "outcome"], registry=registry
        )

    def report(self, tally: Tally) -> None:
        """Takes over what one step did."""
        for type_, number in tally.facts.items():
            self._facts.labels(type_).inc(number)
        self._duplicates.inc(tally.duplicates)
        self._memberships.labels("added").inc(tally.members_added)
        self._memberships.labels("removed").inc(tally.members_removed)
        self._vectors.inc(tally.vectors)

    def looked_up(self, kind: str, *, found: bool) -> None:
        self._lookups.labels(kind, "found" if found else "unknown").inc()
