"""Where a trained model's package is kept, and what is told of it: in its project's place, or else in its model's.

The artifact's record holds the key from the first announcement on, so that whoever takes a job up again meets the
object that an earlier attempt wrote. A job that was undone and is tried again gets another key.
"""

import re
import uuid
from typing import Any
from urllib.parse import unquote, urlsplit

from google.protobuf.json_format import MessageToDict, ParseDict

from gateway.flows.claim import Claim
from gateway.flows.engine import State
from gateway.flows.projects import KIND as PROJECT_KIND
from gateway.flows.projects import cut, new_name
from gateway.flows.storing import named
from modelyard.metadata.v1.artifact_pb2 import Artifact, ArtifactCopy, CreateArtifactRequest
from modelyard.metadata.v1.model_pb2 import ListModelsRequest
from modelyard.metadata.v1.project_pb2 import Project
from modelyard.storage.v1.storage_pb2 import Copy, Object, ObjectName, UploadHeader

MODELS = "models"
MODEL_KIND = "model"
CLOUDINARY = "cloudinary"
TAGS = ("ml-project", "generated-code")
MOST_CONTEXT_BYTES = 200
ADDRESS = re.compile(r"/(?:upload|authenticated)/(?:s--[^/]+--/)?v\d+/(.+)$")


def artifact_id(job_id: str) -> str:
    """The artifact's id, which follows from the job's."""
    return f"{job_id}-model"


async def announce(claim: Claim, attempt: str, project: Project | None) -> State:
    """Announce the package of a training: where it will be kept. A repeat tells what the first announcement told."""
    job, model_id = claim.job, await _model_id(claim)
    place = await (new_name(claim.peers, project) if project else _of_model(claim, model_id, attempt))
    artifact = Artifact(
        id=artifact_id(job.id),
        user_id=job.user_id,
        project_id=project.id if project else "",
        job_id=job.id,
        kind=PROJECT_KIND if project else MODEL_KIND,
        placement=place.placement,
        key=place.key,
    )
    request = CreateArtifactRequest(artifact=artifact, request_id=artifact.id)
    first = await claim.peers.artifacts.CreateArtifact(request, **claim.quick)
    described = _described(project, first) if project else {"file_name": claim.wanted["file_name"]}
    return {"placement": first.placement, "key": first.key, "model_id": model_id, **described}


async def _of_model(claim: Claim, model_id: str, attempt: str) -> ObjectName:
    job_id, _, number = attempt.rpartition("-")
    version = f"v{job_id[:12]}-{number}"  # the version's own number is given when it is recorded
    return await named(claim.peers, MODELS, user=claim.job.user_id, model=model_id, version=version)


async def _model_id(claim: Claim) -> str:
    """The id of the user's model of that name, or the one it will get when it is recorded first."""
    user, name = claim.job.user_id, claim.wanted["model_name"]
    request = ListModelsRequest(user_id=user, name=name, page_size=1)
    page = await claim.peers.models.ListModels(request, **claim.quick)
    if page.models:
        return page.models[0].id
    return uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, f"modelyard:model:{user}"), name).hex


def _described(project: Project, artifact: Artifact) -> dict[str, Any]:
    """What a project's package is labelled with. Nothing in it changes with a repeat."""
    context = {
        "project_name": project.name,
        "task_type": project.task_type,
        "user_id": project.user_id,
        "created_at": artifact.create_time.ToJsonString(),
    }
    return {
        "file_name": artifact.key.rpartition("/")[2],
        "tags": [*TAGS, project.task_type],
        "context": {name: cut(value, MOST_CONTEXT_BYTES) for name, value in context.items()},
        "project_id": project.id,
    }


def header_of(claim: Claim, package: State) -> UploadHeader:
    """What is told to storage before the first byte."""
    return UploadHeader(
        placement=package["placement"],
        key=package["key"],
        owner=claim.job.user_id,
        content_type="application/zip",
        file_name=package["file_name"],
        request_id=artifact_id(claim.job.id),
        tags=package.get("tags", ()),
        context=package.get("context", {}),
    )


def name_of(package: State) -> ObjectName:
    """Where a package is kept."""
    return ObjectName(placement=package["placement"], key=package["key"])


def saved(stored: Object) -> State:
    """A stored object as a job's state keeps it."""
    return MessageToDict(stored, preserving_proto_field_name=True)


def restored(state: State) -> Object:
    """The stored object, as an earlier step saved it."""
    return ParseDict(state["object"], Object())


def told(package: State, stored: Object, model_id: str) -> State:
    """What a job's result says of its package: where it is, where to get it, and how it came there."""
    whereabouts: State = {
        "backend": stored.backend,
        "bucket": stored.bucket,
        "key": stored.key,
        "uri": stored.uri,
        "size": stored.size,
        "sha256": stored.sha256,
        "copies": [{"backend": copy.backend, "bucket": copy.bucket, "uri": copy.uri} for copy in stored.copies],
        "fallback": stored.fallback,
        "failures": [failure.message for failure in stored.failures],
        "expires_at": stored.expire_time.ToJsonString() if stored.HasField("expire_time") else None,
    }
    if "project_id" not in package:
        return {"download_url": f"/api/models/{model_id}/download", "storage": whereabouts}
    return {
        "download_url": download_url(package["project_id"]),
        "storage": whereabouts,
        CLOUDINARY: at_cloudinary(stored, package["project_id"]),
    }


def download_url(project_id: str) -> str:
    """Where a project's newest package is downloaded from."""
    return f"/api/download/project_{project_id}.zip"


def at_cloudinary(stored: Object, project_id: str) -> State:
    """Whether Cloudinary holds a project's package, under which address, and why not where it does not."""
    updated = {"success": True, "project_id": project_id}
    copy = next((copy for copy in stored.copies if copy.backend == CLOUDINARY), None)
    if copy is None:
        message = "Project updated with where its package is kept"
        return {
            "success": False,
            "url": None,
            "public_id": None,
            "size": stored.size,
            "error": _why_not(stored),
            "database_update": updated | {"message": message},
        }
    return {
        "success": True,
        "url": copy.uri,
        "public_id": public_id(copy, stored.key),
        "size": stored.size,
        "database_update": updated | {"message": "Project updated with Cloudinary URL"},
    }


def public_id(copy: Copy | ArtifactCopy, key: str) -> str:
    """The name of a copy at Cloudinary: what its address ends in, after the version."""
    found = ADDRESS.search(urlsplit(copy.uri).path)
    return unquote(found[1]) if found else f"{copy.bucket}/{key}"


def _why_not(stored: Object) -> str:
    reasons = [failure.message for failure in stored.failures if failure.backend == CLOUDINARY]
    if reasons:
        return " ".join(reasons)
    if stored.fallback:
        return f"Cloudinary did not take the package when it was stored; it is kept by the {stored.backend} backend."
    return f"Packages are not kept at Cloudinary here; this one is kept by the {stored.backend} backend."
