"""Projects, as the flows need them."""

from grpc import StatusCode
from grpc.aio import AioRpcError

from gateway.peers import Peers
from modelyard.metadata.v1.artifact_pb2 import (
    ARTIFACT_STATE_ACTIVE,
    ARTIFACT_STATE_DELETED,
    Artifact,
    ListArtifactsRequest,
)
from modelyard.metadata.v1.project_pb2 import GetProjectRequest, Project
from servicekit import errors

PLACEMENT = "projects"
KIND = "project"


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
