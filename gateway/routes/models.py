"""Models over HTTP."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from gateway import outgoing, rendering
from gateway.flows.models import let_go, versions_of
from gateway.identity import User
from gateway.peers import Peers
from gateway.routes.listing import Listing
from gateway.routes.predictions import MOST_VERSION
from gateway.routes.state import owned_model, peers_of
from modelyard.metadata.v1.artifact_pb2 import ARTIFACT_STATE_DELETED, Artifact, GetArtifactRequest
from modelyard.metadata.v1.model_pb2 import (
    GetModelVersionRequest,
    ListModelsRequest,
    Model,
    ModelVersion,
)
from modelyard.storage.v1.storage_pb2 import ObjectName, SignDownloadRequest

router = APIRouter(prefix="/api/models", tags=["models"])

OneVersion = Annotated[int, Query(ge=0, le=MOST_VERSION)]
"""Which version; 0 for the newest."""


@router.get("")
async def list_models(request: Request, user: User, listing: Listing) -> Response:
    """The user's models by their newest versions, newest first."""
    peers = peers_of(request)
    wanted = ListModelsRequest(user_id=user, **listing.asked)
    page = await peers.models.ListModels(wanted, **peers.quick)
    versions = await asyncio.gather(*(_version(peers, record) for record in page.models))
    models = [rendering.model(record, version) for record, version in zip(page.models, versions, strict=True)]
    return rendering.answer({"models": models, "nextPageToken": page.next_page_token})


@router.get("/{model_id}")
async def get_model(request: Request, user: User, model_id: str) -> Response:
    """A model with its scores, leaderboard, parameters and versions."""
    peers = peers_of(request)
    model = await owned_model(peers, user, model_id)
    versions = [version async for version in versions_of(peers, model)]
    artifact = await _artifact(peers, versions[0])
    return rendering.answer(rendering.model_page(model, versions, artifact))


@router.head("/{model_id}/download", include_in_schema=False)
@router.get("/{model_id}/download")
async def download_model(request: Request, user: User, model_id: str, version: OneVersion = 0) -> Response:
    """The packaged model; the newest version unless one is named. Ranges and entity tags work."""
    peers = peers_of(request)
    model = await owned_model(peers, user, model_id)
    wanted = await _version(peers, model, version)
    artifact = await _artifact(peers, wanted)
    return await outgoing.send_recorded(request, peers, artifact, f"{model.name}-{wanted.version}.zip")


@router.post("/{model_id}/link")
async def link_model(request: Request, user: User, model_id: str, version: OneVersion = 0) -> Response:
    """An address from which anyone who holds it may download the packaged model for an hour."""
    peers = peers_of(request)
    artifact = await _artifact(peers, await _version(peers, await owned_model(peers, user, model_id), version))
    if artifact.state == ARTIFACT_STATE_DELETED:
        return outgoing.gone(artifact)
    wanted = SignDownloadRequest(name=ObjectName(placement=artifact.placement, key=artifact.key))
    signed = await peers.storage.SignDownload(wanted, **peers.quick)
    return rendering.answer({"url": signed.uri, "expiresAt": rendering.moment(signed.expire_time)})


@router.delete("/{model_id}")
async def delete_model(request: Request, user: User, model_id: str) -> Response:
    """Delete a model with all its versions, their bytes first."""
    peers = peers_of(request)
    count = await let_go(peers, await owned_model(peers, user, model_id))
    return rendering.answer({"success": True, "id": model_id, "versions": count})


async def _version(peers: Peers, model: Model, version: int = 0) -> ModelVersion:
    wanted = GetModelVersionRequest(model_id=model.id, version=version)
    return await peers.models.GetModelVersion(wanted, **peers.quick)


async def _artifact(peers: Peers, version: ModelVersion) -> Artifact:
    return await peers.artifacts.GetArtifact(GetArtifactRequest(id=version.artifact_id), **peers.quick)
