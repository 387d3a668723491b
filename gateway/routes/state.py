"""What routes share: the peers and settings of the application, and records that belong to who asks for them."""

from collections.abc import Awaitable
from typing import TypeVar

from fastapi import Request
from grpc import StatusCode
from grpc.aio import AioRpcError

from gateway.flows.lookups import Lookups
from gateway.flows.workers import Workers
from gateway.peers import Peers
from gateway.settings import GatewaySettings
from modelyard.metadata.v1.artifact_pb2 import Artifact
from modelyard.metadata.v1.dataset_pb2 import Dataset, GetDatasetRequest
from modelyard.metadata.v1.job_pb2 import GetJobRequest, Job
from modelyard.metadata.v1.model_pb2 import GetModelRequest, Model
from modelyard.metadata.v1.project_pb2 import GetProjectRequest, Project
from servicekit import errors


class RecordNotFound(errors.NotFound):
    """You have no {kind} with the id {id}. The list of your {kind}s shows what there is."""


def peers_of(request: Request) -> Peers:
    """The services behind the gateway."""
    peers: Peers = request.app.state.peers
    return peers


def lookups_of(request: Request) -> Lookups:
    """The versions of models that were asked lately."""
    lookups: Lookups = request.app.state.lookups
    return lookups


def settings_of(request: Request) -> GatewaySettings:
    """The gateway's settings."""
    settings: GatewaySettings = request.app.state.settings
    return settings


def workers_of(request: Request) -> Workers:
    """The workers that carry jobs through."""
    workers: Workers = request.app.state.workers
    return workers


async def owned_dataset(peers: Peers, user: str, dataset_id: str) -> Dataset:
    """A dataset of this user; another's does not exist for them."""
    return await _owned(
        peers.datasets.GetDataset(GetDatasetRequest(id=dataset_id), **peers.quick), user, "dataset", dataset_id
    )


async def owned_job(peers: Peers, user: str, job_id: str) -> Job:
    """A job of this user; another's does not exist for them."""
    return await _owned(peers.jobs.GetJob(GetJobRequest(id=job_id), **peers.quick), user, "job", job_id)


async def owned_model(peers: Peers, user: str, model_id: str) -> Model:
    """A model of this user; another's does not exist for them."""
    return await _owned(peers.models.GetModel(GetModelRequest(id=model_id), **peers.quick), user, "model", model_id)


async def owned_project(peers: Peers, user: str, project_id: str) -> Project:
    """A project of this user; another's does not exist for them."""
    return await _owned(
        peers.projects.GetProject(GetProjectRequest(id=project_id), **peers.quick), user, "project", project_id
    )


Record = TypeVar("Record", Artifact, Dataset, Job, Model, Project)


async def _owned(asked: Awaitable[Record], user: str, kind: str, record_id: str) -> Record:
    record = await found(asked, kind, record_id)
    if record.user_id != user:
        raise RecordNotFound(kind=kind, id=record_id)
    return record


async def found(asked: Awaitable[Record], kind: str, record_id: str) -> Record:
    """A record, if there is one. Fails with RecordNotFound, as where it is another's: what exists is nobody else's
    business."""
    try:
        return await asked
    except AioRpcError as error:
        if error.code() is not StatusCode.NOT_FOUND:
            raise
        raise RecordNotFound(kind=kind, id=record_id) from error
