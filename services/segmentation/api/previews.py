"""HTTP door of previews and estimates, in the reference platform's shapes (`/preview`, `/estimate`)."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from services.segmentation.api.bodies import PreviewBody
from services.segmentation.handlers.previews import Preview, PreviewHandlers
from shared.contracts.topics import KEYED_PARTITIONS

_PAGE_MAX = 1_000


def routes(handlers: PreviewHandlers) -> APIRouter:
    router = APIRouter(tags=["preview"])

    @router.post("/preview", status_code=202)
    async def open_preview(body: PreviewBody) -> dict[str, Any]:
        """Tries an expression on a sample of the retained log. 422 with line and column for a wrong one, 503 while
        too many are running."""
        return render_head(await handlers.open(body.text(), body.sample_partitions))

    @router.get("/preview/{preview_id}")
    async def get_preview(
        preview_id: str,
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=_PAGE_MAX)] = 100,
    ) -> dict[str, Any]:
        """Returns a page of the members found; empty until the state is RESULT_READY."""
        return render_page(handlers.get(preview_id), offset, limit)

    @router.delete("/preview/{preview_id}", status_code=204)
    async def remove_preview(preview_id: str) -> Response:
        """Ends a preview and forgets it."""
        await handlers.remove(preview_id)
        return Response(status_code=204)

    @router.get("/estimate/{preview_id}")
    async def get_estimate(preview_id: str) -> dict[str, Any]:
        """Returns the estimate as of what has been read; it is done with state RESULT_READY."""
        return render_estimate(handlers.get(preview_id))

    return router


def render_head(preview: Preview) -> dict[str, Any]:
    head = {"state": preview.state, "previewId": preview.id, "previewExecutionId": preview.execution_id}
    return head | ({"error": preview.error} if preview.error else {})


def render_page(preview: Preview, offset: int, limit: int) -> dict[str, Any]:
    """`page.totalCount` counts the ids that can be paged through (at most 10,000), in the order of the ids."""
    ids = preview.ids[offset : offset + limit]
    following = offset + len(ids)
    return render_head(preview) | {
        "results": [{"profileId": id_} for id_ in ids],
        "page": {
            "offset": offset,
            "size": len(ids),
            "totalCount": len(preview.ids),
            "next": following if ids and following < len(preview.ids) else None,
        },
    }


def render_estimate(preview: Preview) -> dict[str, Any]:
    """The reference's estimate. Rows are records of the log; sizes and the standard error are people."""
    found = preview.estimate
    return render_head(preview) | {
        "estimatedSize": found.size,
        "standardError": round(found.standard_error, 3),
        "confidenceInterval": "95%",
        "confidenceBounds": {"low": found.low, "high": found.high},
        "profilesReadSoFar": preview.profiles_read,
        "profilesMatchedSoFar": preview.matched,
        "totalRows": preview.rows_all,
        "numRowsToRead": preview.rows,
        "rowsReadSoFar": preview.rows_read,
        "samplePartitions": len(preview.partitions),
        "totalPartitions": KEYED_PARTITIONS,
        "estimatedNamespaceDistribution": [
            {"namespaceId": namespace, "profilesMatchedSoFar": count} for namespace, count in preview.namespaces.items()
        ],
    }
