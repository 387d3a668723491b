"""Signed addresses over HTTP: who holds one may download, without an account."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway import outgoing
from gateway.routes.state import peers_of

router = APIRouter(tags=["files"])


@router.head("/files/{token}/{file_name}", include_in_schema=False)
@router.get("/files/{token}/{file_name}")
async def download_signed(request: Request, token: str, file_name: str) -> Response:  # noqa: ARG001 — for people
    """The object that a signed address stands for; the name is for who saves it."""
    return await outgoing.send_signed(request, peers_of(request), token)
