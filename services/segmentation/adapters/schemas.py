"""The union schema, read from ingestion over HTTP."""

import httpx

from shared import pql
from shared.kernel.errors import Retryable

_TIMEOUT_S = 5.0


class HttpUnionSchemas:
    """Implements `UnionSchemas`. Reads at each check: definitions change rarely and must see new schemas at once."""

    def __init__(self, ingestion_url: str) -> None:
        self._client = httpx.AsyncClient(base_url=ingestion_url, timeout=_TIMEOUT_S)

    async def union(self) -> pql.Schema:
        try:
            response = await self._client.get("/schemas/union")
            response.raise_for_status()
        except httpx.HTTPError as error:
            where = self._client.base_url
            raise Retryable(f"ingestion at {where} did not answer with the union schema: {error!r}") from error
        return pql.Schema.from_json_schema(response.json())

    async def close(self) -> None:
        await self._client.aclose()
