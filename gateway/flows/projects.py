"""Projects, as the flows need them: where their packages are kept, and how an earlier one becomes the newest."""

import re
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from grpc import StatusCode
from grpc.aio import AioRpcError

from gateway.flows.storing import forget, named, whereabouts
from gateway.peers import BYTES_SECONDS, Peers, pages
from modelyard.metadata.v1.artifact_pb2 import (
    ARTIFACT_STATE_ACTIVE,
    ARTIFACT_STATE_DELETED,
    Artifact,
    CreateArtifactRequest,
    ListArtifactsRequest,
)
from modelyard.metadata.v1.project_pb2 import GetProjectRequest, Project
from modelyard.storage.v1.storage_pb2 import CopyObjectRequest, ObjectName
from servicekit import errors

PLACEMENT = "projects"
KIND = "project"
SUFFIX_BYTES = 8
MOST_NAME_BYTES = 100


class ReferenceMissing(errors.NotReady):
    """project_id names the project {id}, which does not exist. Create it first, or leave the field empty."""

    field = "project_id"


async def project_of(peers: Peers, user: str, project_id: str) -> Project:
    """A user's project. Fails with ReferenceMissing; another's does not exist for this user."""
    try:
        project = await peers.projects.GetProject(GetProjectRequest(id=project_id), **peers.quick)
    except AioRpcError as error:
        if error.code() is StatusCode.NOT_FOUND:
            raise ReferenceMissing(id=project_id) from error
        raise
    if project.user_id != user:
        raise ReferenceMissing(id=project_id)
    return project


async def check_project(peers: Peers, user: str, project_id: str) -> None:
    """Fail with ReferenceMissing when a project is named that is not this user's."""
    if project_id:
        await project_of(peers, user, project_id)


async def package_of(peers: Peers, project: Project) -> Artifact | None:
    """The newest package of a project; one that is gone where there is no other, and None where there never was one."""
    for state in (ARTIFACT_STATE_ACTIVE, ARTIFACT_STATE_DELETED):
        wanted = ListArtifactsRequest(project_id=project.id, placement=PLACEMENT, state=state)
        page = await peers.artifacts.ListArtifacts(wanted, **peers.quick)
        if page.artifacts:  # by when they were announced, of which the last need not be the last that was written
            return max(page.artifacts, key=lambda artifact: artifact.write_time.ToNanoseconds())
    return None


async def packages_of(peers: Peers, project: Project) -> AsyncIterator[Artifact]:
    """All packages of a project that are there, those that were announced last first."""
    wanted = ListArtifactsRequest(project_id=project.id, placement=PLACEMENT, state=ARTIFACT_STATE_ACTIVE)
    async for page in pages(peers.artifacts.ListArtifacts, wanted, peers.quick):
        for artifact in page.artifacts:
            yield artifact


async def restore(peers: Peers, project: Project, earlier: Artifact) -> Artifact:
    """Make an earlier package of a project its newest again, as a copy; if that fails, nothing has changed."""
    name = await new_name(peers, project)
    announced = Artifact(
        id=uuid.uuid4().hex,
        user_id=project.user_id,
        project_id=project.id,
        kind=KIND,
        placement=name.placement,
        key=name.key,
    )
    request = CreateArtifactRequest(artifact=announced, request_id=announced.id)
    async with AsyncExitStack() as undo:
        artifact = await peers.artifacts.CreateArtifact(request, **peers.quick)
        undo.push_async_callback(forget, peers, artifact)
        source = ObjectName(placement=earlier.placement, key=earlier.key)
        copy = CopyObjectRequest(source=source, destination=name, request_id=artifact.id)
        stored = await peers.storage.CopyObject(copy, **peers.within(BYTES_SECONDS))
        restored = await peers.artifacts.ActivateArtifact(whereabouts(artifact.id, stored), **peers.quick)
        undo.pop_all()
    return restored


async def new_name(peers: Peers, project: Project) -> ObjectName:
    """Where the next package of a project goes: a name of its own, which nobody can guess."""
    return await named(
        peers,
        PLACEMENT,
        user=project.user_id,
        task_type=project.task_type,
        project_name=_as_segment(project.name),
        date=datetime.now(UTC).strftime("%Y%m%d"),
        suffix=secrets.token_hex(SUFFIX_BYTES),
    )


def _as_segment(name: str) -> str:
    """A project's name as the beginning of a file's: readable, without what needs escaping, not too long."""
    return cut(re.sub(r"[^\w.-]", "_", name), MOST_NAME_BYTES)


def cut(text: str, size: int) -> str:
    """The beginning of a text, of so many bytes at the most."""
    return text.encode()[:size].decode(errors="ignore")
