"""Which of the workers of `pytest -n` runs what."""

from xdist.scheduler import LoadScopeScheduling

_WITH_PROCESSES = ("tests/chaos/", "tests/e2e/", "tests/integration/")


class ProcessesTogether(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives all tests that start processes to one worker: they share a platform, and while they wait for it the other
    worker has a core. The rest goes file by file to whoever is free."""

    def _split_scope(self, nodeid: str) -> str:
        return "processes" if nodeid.startswith(_WITH_PROCESSES) else nodeid.partition("::")[0]
