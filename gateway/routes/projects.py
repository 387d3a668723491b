"""Projects over HTTP: what they are, and their packages."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import AliasChoices, BaseModel, Field

from gateway import outgoing, rendering
from gateway.flows.datasets import id_for
from gateway.flows.projects import KIND, package_of, packages_of, restore
from gateway.identity import User
from gateway.peers import Peers
from gateway.routes import described
from gateway.routes.datasets import RepeatKey
from gateway.routes.listing import Listing
from gateway.routes.state import RecordNotFound, found, owned_project, peers_of
from modelyard.metadata.v1.artifact_pb2 import ARTIFACT_STATE_ACTIVE, Artifact, GetArtifactRequest
from modelyard.metadata.v1.project_pb2 import CreateProjectRequest, ListProjectsRequest, Project
from servicekit import errors

router = APIRouter(tags=["projects"])


class PackageMissing(errors.NotFound):
    """The project {id} has no package yet. Train in it, and its newest model is there."""


@router.get("/api/projects")
async def list_projects(request: Request, user: User, listing: Listing) -> Response:
    """The user's projects, newest first."""
    peers = peers_of(request)
    wanted = ListProjectsRequest(user_id=user, **listing.asked)
    page = await peers.projects.ListProjects(wanted, **peers.quick)
    packages = await asyncio.gather(*(package_of(peers, record) for record in page.projects))
    projects = [rendering.project(*pair) for pair in zip(page.projects, packages, strict=True)]
    return rendering.answer({"projects": projects, "nextPageToken": page.next_page_token})


class ProjectWish(BaseModel):
    """What to call a project, and what is to be trained in it."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    task_type: Annotated[
        Literal["general_ml", "image_classification", "object_detection"],
        Field(validation_alias=AliasChoices("taskType", "task_type")),
    ] = "general_ml"


@router.post("/api/projects", status_code=201)
async def create_project(request: Request, user: User, wish: ProjectWish, repeat_key: RepeatKey = "") -> Response:
    """Create a project. A repeat under the same Idempotency-Key answers with the first one."""
    peers = peers_of(request)
    project_id = id_for(user, "project", repeat_key)
    project = Project(id=project_id, user_id=user, name=wish.name, task_type=wish.task_type)
    created = await peers.projects.CreateProject(
        CreateProjectRequest(project=project, request_id=project_id), **peers.quick
    )
    return rendering.answer(rendering.project(created, None), status=201)


@router.get("/api/projects/{project_id}")
async def get_project(request: Request, user: User, project_id: str) -> Response:
    """A project, with its newest package."""
    peers = peers_of(request)
    project = await owned_project(peers, user, project_id)
    return rendering.answer(rendering.project(project, await package_of(peers, project)))


@router.head("/api/download/project_{project_id}.zip", include_in_schema=False)
@router.get("/api/download/project_{project_id}.zip", response_class=Response, responses=described.PACKAGE)
async def download_project(request: Request, user: User, project_id: str) -> Response:
    """A project's newest package, from whichever place holds it. Ranges and entity tags work."""
    peers = peers_of(request)
    package = await package_of(peers, await owned_project(peers, user, project_id))
    if package is None:
        raise PackageMissing(id=project_id)
    return await outgoing.send_recorded(request, peers, package)


@router.get("/api/projects/{project_id}/zip")
async def list_packages(request: Request, user: User, project_id: str) -> Response:
    """All packages of a project, those that were announced last first."""
    peers = peers_of(request)
    project = await owned_project(peers, user, project_id)
    versions = [rendering.package_version(artifact) async for artifact in packages_of(peers, project)]
    return rendering.answer({"versions": versions})


@router.head("/api/projects/{project_id}/zip/{version_id}", include_in_schema=False)
@router.get("/api/projects/{project_id}/zip/{version_id}", response_class=Response, responses=described.PACKAGE)
async def download_package(request: Request, user: User, project_id: str, version_id: str) -> Response:
    """One package of a project. Ranges and entity tags work."""
    peers = peers_of(request)
    return await outgoing.send_recorded(request, peers, await _package(peers, user, project_id, version_id))


@router.post("/api/projects/{project_id}/zip/{version_id}/restore", status_code=201)
async def restore_package(request: Request, user: User, project_id: str, version_id: str) -> Response:
    """Make an earlier package the project's newest again; the others stay."""
    peers = peers_of(request)
    project = await owned_project(peers, user, project_id)
    earlier = await _package(peers, user, project_id, version_id)
    if earlier.state != ARTIFACT_STATE_ACTIVE:
        return outgoing.gone(earlier)
    return rendering.answer(rendering.package_version(await restore(peers, project, earlier)), status=201)


async def _package(peers: Peers, user: str, project_id: str, version_id: str) -> Artifact:
    asked = peers.artifacts.GetArtifact(GetArtifactRequest(id=version_id), **peers.quick)
    artifact = await found(asked, "package", version_id)
    if (artifact.user_id, artifact.project_id, artifact.kind) != (user, project_id, KIND):
        raise RecordNotFound(kind="package", id=version_id)
    return artifact
