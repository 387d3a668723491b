"""What the caller keeps, over HTTP."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway import rendering
from gateway.identity import User
from gateway.routes.state import peers_of
from modelyard.storage.v1.storage_pb2 import GetUsageRequest

router = APIRouter(tags=["usage"])


@router.get("/api/usage")
async def get_usage(request: Request, user: User) -> Response:
    """What the user keeps in each placement and in all, in bytes, and their quota; null where there is none."""
    peers = peers_of(request)
    usage = await peers.storage.GetUsage(GetUsageRequest(owner=user), **peers.quick)
    quota = usage.quota_size or None
    body = {
        "userId": user,
        "placements": {part.placement: {"count": part.count, "size": part.size} for part in usage.usages},
        "count": usage.count,
        "size": usage.size,
        "quotaSize": quota,
        "remainingSize": max(0, quota - usage.size) if quota else None,
    }
    return rendering.answer(body)
