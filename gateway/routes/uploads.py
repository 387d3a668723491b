"""Uploads by ticket over HTTP: ask where to send a file, send it there, say that it is there."""

import re
from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from gateway import incoming, rendering
from gateway.flows import tickets
from gateway.identity import User
from gateway.peers import Peers
from gateway.routes import described
from gateway.routes.state import RecordNotFound, found, peers_of, settings_of
from modelyard.metadata.v1.artifact_pb2 import ARTIFACT_STATE_ACTIVE, Artifact, ArtifactState, GetArtifactRequest
from modelyard.storage.v1.storage_pb2 import ObjectName, SignDownloadRequest, UploadTrailer

router = APIRouter(tags=["uploads"])

LONGEST_TTL_SECONDS = 7 * 24 * 3600
MEDIA_TYPE = r"^([A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+( *;[\x20-\x7e]*)?)?$"
"""A media type as a header may hold it (RFC 9110), or nothing."""
_TURNS_TEXT = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""What makes a name look like another: it turns the direction of the text."""


class TicketWish(BaseModel):
    """What is to be uploaded."""

    model_config = ConfigDict(extra="forbid")

    file_name: Annotated[str, Field(min_length=1, max_length=255)]
    content_type: Annotated[str, Field(max_length=255, pattern=MEDIA_TYPE)] = ""
    size: Annotated[int, Field(ge=0, description="Bytes, where they are known; 0 otherwise.")] = 0
    ttl_seconds: Annotated[int, Field(ge=1, le=LONGEST_TTL_SECONDS)] = 3600


class Completion(BaseModel):
    """What was sent by a ticket."""

    model_config = ConfigDict(extra="forbid")

    id: str
    token: str
    size: Annotated[int, Field(ge=0, description="Bytes that were sent; verified.")]
    sha256: Annotated[str, Field(pattern="^([0-9a-fA-F]{64})?$", description="Verified when given.")] = ""


@router.post("/api/storage/tickets", status_code=201)
async def issue_ticket(request: Request, user: User, wanted: TicketWish) -> Response:
    """Ask where to send a file: a method, an address, and the headers or form fields to send with it."""
    settings = settings_of(request)
    if wanted.size > settings.max_upload_bytes:
        raise incoming.FileTooLarge(limit=settings.max_upload_bytes)
    wish = tickets.Wish(
        user=user,
        file_name=_file_name(wanted.file_name),
        content_type=wanted.content_type,
        size=wanted.size,
        # An upload that is not recorded in time is cleaned up: what is sent at the last moment needs the other half.
        ttl_seconds=min(wanted.ttl_seconds, int(settings.pending_upload_seconds / 2)),
    )
    artifact, ticket = await tickets.issue(peers_of(request), wish)
    body = {
        "id": artifact.id,
        "placement": artifact.placement,
        "key": artifact.key,
        "method": ticket.method,
        "uri": ticket.uri,
        "headers": dict(ticket.headers),
        "fields": dict(ticket.fields),
        "token": ticket.token,
        "expiresAt": rendering.moment(ticket.expire_time),
    }
    return rendering.answer(body, 201)


def _file_name(given: str) -> str:
    """The last part of a name from outside; `file` where that names a folder."""
    name = PurePosixPath(_TURNS_TEXT.sub("_", given).replace("\\", "/")).name
    return "file" if name in ("", "..") else name


@router.put("/uploads/{token}", status_code=201, openapi_extra=described.raw())
async def upload_by_ticket(request: Request, token: str) -> Response:
    """Take the bytes of a ticket. Who holds it needs no account; a Content-Digest header is verified."""
    arriving = await incoming.raw(request, settings_of(request).max_upload_bytes)
    stored = await tickets.take(peers_of(request), token, arriving)
    return rendering.answer({"key": stored.key, "size": stored.size, "sha256": stored.sha256}, 201)


@router.post("/api/storage/tickets/complete")
async def complete_ticket(request: Request, user: User, done: Completion) -> Response:
    """Say that all bytes are sent. They are verified and recorded; a repeat gives the same answer."""
    peers = peers_of(request)
    artifact = await _owned_upload(peers, user, done.id)
    trailer = UploadTrailer(size=done.size, sha256=done.sha256)
    return rendering.answer(await _shown(peers, await tickets.complete(peers, artifact, done.token, trailer)))


@router.get("/api/storage/uploads/{upload_id}")
async def get_upload(request: Request, user: User, upload_id: str) -> Response:
    """An upload, with an address from which it can be downloaded for an hour."""
    peers = peers_of(request)
    return rendering.answer(await _shown(peers, await _owned_upload(peers, user, upload_id)))


@router.delete("/api/storage/uploads/{upload_id}")
async def delete_upload(request: Request, user: User, upload_id: str) -> Response:
    """Delete an upload, its bytes first."""
    peers = peers_of(request)
    await tickets.let_go(peers, await _owned_upload(peers, user, upload_id))
    return rendering.answer({"success": True, "id": upload_id})


async def _owned_upload(peers: Peers, user: str, upload_id: str) -> Artifact:
    """An upload of this user; another's, and what is no upload, does not exist for them."""
    asked = peers.artifacts.GetArtifact(GetArtifactRequest(id=upload_id), **peers.quick)
    artifact = await found(asked, tickets.KIND, upload_id)
    if artifact.user_id != user or artifact.kind != tickets.KIND:
        raise RecordNotFound(kind=tickets.KIND, id=upload_id)
    return artifact


async def _shown(peers: Peers, artifact: Artifact) -> rendering.Json:
    body: rendering.Json = {
        "id": artifact.id,
        "state": ArtifactState.Name(artifact.state).removeprefix("ARTIFACT_STATE_").lower(),
        "size": artifact.size,
        "sha256": artifact.sha256,
        "expiresAt": rendering.moment(artifact.expire_time) if artifact.HasField("expire_time") else None,
        "storage": rendering.storage_of(artifact),
    }
    if artifact.state == ARTIFACT_STATE_ACTIVE:
        name = ObjectName(placement=artifact.placement, key=artifact.key)
        signed = await peers.storage.SignDownload(SignDownloadRequest(name=name), **peers.quick)
        body["downloadUrl"] = signed.uri
    return body
