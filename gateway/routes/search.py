"""Search over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from gateway import rendering
from gateway.identity import User
from gateway.routes.state import peers_of
from modelyard.metadata.v1.search_pb2 import SearchRecordsRequest

router = APIRouter(prefix="/api/search", tags=["search"])


@router.get("")
async def search(
    request: Request,
    user: User,
    q: str,
    kind: Annotated[list[str], Query()] = [],  # noqa: B006 (FastAPI copies it)
    page_size: Annotated[int, Query(ge=1, le=1000)] = 50,
    page_token: str = "",
) -> Response:
    """What the user has that has all of these words, newest first; of some kinds alone, where these are named."""
    peers = peers_of(request)
    wanted = SearchRecordsRequest(query=q, user_id=user, entities=kind, page_size=page_size, page_token=page_token)
    page = await peers.search.SearchRecords(wanted, **peers.quick)
    results = [
        {"kind": each.entity, "id": each.id, "name": each.name, "createdAt": rendering.moment(each.create_time)}
        for each in page.results
    ]
    return rendering.answer({"results": results, "nextPageToken": page.next_page_token})
