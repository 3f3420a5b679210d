"""Model files on disk, read and written off the event loop."""

import asyncio

from shared.adapters.artifacts import ArtifactStore


class DiskArtifacts:
    """Implements the port `Artifacts` on a content-addressed folder."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    async def put(self, raw: bytes) -> str:
        return await asyncio.to_thread(self._store.put, raw)

    async def get(self, digest: str) -> bytes:
        return await asyncio.to_thread(self._store.get, digest)
