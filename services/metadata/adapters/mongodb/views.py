"""What a document shows of other records: an object's address, what the newest version scored, a project's package.

Those who read the database find it where they always did. It is written in the transaction that changes what it is
made of, and read by nobody here: the records it is made of are what counts.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from services.metadata.adapters.mongodb.documents import Document, object_id
from services.metadata.domain.entities import Artifact, ArtifactState, ModelVersion, Project, Usage, User
from services.metadata.domain.ports import Query, Reader
from services.metadata.domain.tiers import LIMITS

AZURE = "azure"
CLOUDINARY = "cloudinary"
TAGS = ("ml-project", "generated-code")
STORIES = "stories"
"""What a user's stories are counted under."""
ADDRESS = re.compile(r"/v\d+/(.+)")
"""A name at Cloudinary: what comes after the version in an address."""

Show = Callable[[Reader, Any], Awaitable[Document]]


@dataclass(frozen=True)
class View:
    """What the documents of an entity show of other records."""

    of: str
    """Entity whose documents show it."""
    made_of: dict[str, tuple[str, str]]
    """Which documents change with a record of another entity: those whose attribute, the second, is its first."""
    show: Show
    """The fields, by path, from the record that shows them."""
    matters: Callable[[Any], bool] = lambda _: True
    """Whether a record is one of those that it is made of."""
    null: bool = True
    """Whether a field without a value is null. Otherwise it is not there."""

    def update(self, shown: Document) -> Document:
        """The update that brings these fields into a document."""
        absent = {path: "" for path, value in shown.items() if value is None and not self.null}
        present = {path: value for path, value in shown.items() if path not in absent}
        return {operator: paths for operator, paths in (("$set", present), ("$unset", absent)) if paths}


def address_at(backend: str, artifact: Artifact | None) -> str | None:
    """Where a backend has an object; None when it has not. A field that names a vendor tells of no other one."""
    if artifact is None or artifact.state is not ArtifactState.ACTIVE:
        return None
    held = {copy.backend: copy.uri for copy in reversed(artifact.copies)}
    return held.get(backend) or (artifact.uri if artifact.backend == backend else None)


async def _artifact(reader: Reader, record: Any) -> Artifact | None:
    return await reader.get(Artifact, record.artifact_id) if record.artifact_id else None


async def _of_dataset(reader: Reader, dataset: Any) -> Document:
    return {"azure_dataset_url": address_at(AZURE, await _artifact(reader, dataset))}


async def _of_version(reader: Reader, version: Any) -> Document:
    return {"azure_model_url": address_at(AZURE, await _artifact(reader, version))}


async def _of_model(reader: Reader, model: Any) -> Document:
    """What is told of the newest version. The accuracy is a text, as its readers expect it."""
    found = await reader.find(ModelVersion, Query({"model_id": model.id}))
    if not found:
        return dict.fromkeys(("base_model", "accuracy", "azure_model_url", "dataset_id"))
    newest = found[0]
    return {
        "base_model": newest.base_model,
        "accuracy": accuracy_of(newest),
        "azure_model_url": address_at(AZURE, await _artifact(reader, newest)),
        "dataset_id": newest.dataset_id and object_id(newest.dataset_id),
    }


def accuracy_of(version: ModelVersion) -> str | None:
    """The measured accuracy; None where another score was measured."""
    metrics = (version.details or {}).get("metrics")
    measured = metrics.get("accuracy") if isinstance(metrics, dict) else None
    if measured is None and version.score_name == "accuracy":
        measured = version.score
    return None if measured is None else str(measured)


async def _of_project(reader: Reader, project: Project) -> Document:
    """The newest package of a project, and how it was uploaded."""
    where = {"project_id": project.id, "kind": "project", "state": ArtifactState.ACTIVE}
    found = await reader.find(Artifact, Query(where))
    package = found[0] if found else None
    return {
        "generatedFiles.zipFile": package and zip_file(package),
        "generatedFiles.metadata.cloudinaryUpload": package and upload(project, package),
    }


def zip_file(package: Artifact) -> Document:
    """A package. Cloudinary's address and name are null where Cloudinary does not hold it."""
    url = address_at(CLOUDINARY, package)
    return {
        "cloudinaryUrl": url,
        "cloudinaryPublicId": url and public_id(url),
        "fileName": PurePosixPath(package.key).name,
        "fileSize": package.size,
        "generatedAt": package.write_time,
        "downloadCount": package.download_count,
        "expiresAt": package.expire_time,
    }


def public_id(url: str) -> str:
    """The name of an object at Cloudinary, from its address."""
    path = urlsplit(url).path
    found = ADDRESS.search(path)
    return unquote(found[1] if found else path.lstrip("/"))


def upload(project: Project, package: Artifact) -> Document | None:
    """How a package was uploaded to Cloudinary; None when it was not."""
    url = address_at(CLOUDINARY, package)
    if url is None:
        return None
    return {
        "uploadedAt": package.write_time,
        "folder": str(PurePosixPath(public_id(url)).parent),
        "tags": [*TAGS, project.task_type],
        "context": {
            "project_name": project.name,
            "task_type": project.task_type,
            "user_id": project.user_id,
            "created_at": _text(package.write_time),
        },
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")


async def _of_user(reader: Reader, user: Any) -> Document:
    """What the newest month was used for, and the limits of the tier; null where there is none."""
    used = await reader.find(Usage, Query({"user_id": user.id, "what": STORIES}))
    limits = LIMITS[user.tier]
    return {
        "storiesThisMonth": used[0].amount if used else 0,
        "limits": {
            "storiesPerMonth": limits.stories_per_month,
            "maxRows": limits.rows,
            "teamMembers": limits.team_members,
        },
    }


def _is_package(artifact: Artifact) -> bool:
    return artifact.kind == "project"


def _is_of_stories(record: User | Usage) -> bool:
    return isinstance(record, User) or record.what == STORIES


OF_ARTIFACT = ("id", "artifact_id")
VIEWS = (
    View("datasets", {"datasets": ("id", "id"), "artifacts": OF_ARTIFACT}, _of_dataset),
    View("model_versions", {"model_versions": ("id", "id"), "artifacts": OF_ARTIFACT}, _of_version),
    View("models", {"model_versions": ("model_id", "id")}, _of_model),
    View("users", {"users": ("id", "id"), "usages": ("user_id", "id")}, _of_user, _is_of_stories),
    View("projects", {"artifacts": ("project_id", "id")}, _of_project, _is_package, null=False),
)
"""In the order in which they are written: what shows a document that shows others comes after it."""

SOURCES = frozenset(entity for view in VIEWS for entity in view.made_of)
"""Entities that some document shows."""
