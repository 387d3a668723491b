"""Models over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from gateway import outgoing, rendering
from gateway.flows.models import let_go, newest_of, versions_of
from gateway.identity import User
from gateway.peers import Peers
from gateway.routes import described
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
from servicekit import errors

router = APIRouter(prefix="/api/models", tags=["models"])

OneVersion = Annotated[int, Query(ge=0, le=MOST_VERSION)]
"""Which version; 0 for the newest."""


class NoPackage(errors.NotReady):
    """Version {version} of model {name} has no package here: it was registered without one. Train it, or name another
    version."""


@router.get("")
async def list_models(request: Request, user: User, listing: Listing) -> Response:
    """The user's models by their newest versions, newest first."""
    peers = peers_of(request)
    wanted = ListModelsRequest(user_id=user, **listing.asked)
    page = await peers.models.ListModels(wanted, **peers.quick)
    newest = await newest_of(peers, page.models, rendering.LISTED_DETAILS)
    models = [rendering.model(record, newest.get(record.id, ModelVersion())) for record in page.models]
    return rendering.answer({"models": models, "nextPageToken": page.next_page_token})


@router.get("/{model_id}")
async def get_model(request: Request, user: User, model_id: str) -> Response:
    """A model with its scores, leaderboard, parameters and versions."""
    peers = peers_of(request)
    model = await owned_model(peers, user, model_id)
    versions = [version async for version in versions_of(peers, model)]
    newest = ModelVersion()
    if versions:
        newest = await peers.models.GetModelVersion(GetModelVersionRequest(id=versions[0].id), **peers.quick)
    artifact = await _artifact(peers, newest) if newest.artifact_id else None
    return rendering.answer(rendering.model_page(model, newest, versions, artifact))


@router.head("/{model_id}/download", include_in_schema=False)
@router.get("/{model_id}/download", response_class=Response, responses=described.PACKAGE)
async def download_model(request: Request, user: User, model_id: str, version: OneVersion = 0) -> Response:
    """The packaged model; the newest version unless one is named. Ranges and entity tags work."""
    peers = peers_of(request)
    model = await owned_model(peers, user, model_id)
    wanted, artifact = await _packaged(peers, model, version)
    return await outgoing.send_recorded(request, peers, artifact, f"{model.name}-{wanted.version}.zip")


@router.post("/{model_id}/link")
async def link_model(request: Request, user: User, model_id: str, version: OneVersion = 0) -> Response:
    """An address from which anyone who holds it may download the packaged model for an hour."""
    peers = peers_of(request)
    _, artifact = await _packaged(peers, await owned_model(peers, user, model_id), version)
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


async def _packaged(peers: Peers, model: Model, number: int) -> tuple[ModelVersion, Artifact]:
    """A version of a model, and its package. Fails with NoPackage."""
    wanted = GetModelVersionRequest(model_id=model.id, version=number)
    version = await peers.models.GetModelVersion(wanted, **peers.quick)
    if not version.artifact_id:
        raise NoPackage(name=repr(model.name), version=version.version)
    return version, await _artifact(peers, version)


async def _artifact(peers: Peers, version: ModelVersion) -> Artifact:
    return await peers.artifacts.GetArtifact(GetArtifactRequest(id=version.artifact_id), **peers.quick)
