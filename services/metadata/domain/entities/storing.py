"""Projects, and what is stored for them: artifacts and datasets."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.metadata.domain.declarations import OnDelete, Reference, attribute, entity
from services.metadata.domain.entities.record import ID, NAME, PATH, SHA256_PATTERN, Record

TASK_TYPES = ("general_ml", "image_classification", "object_detection")
ARTIFACT_KINDS = ("dataset", "model", "project", "poster", "upload", "story")
REGISTERED = "registered"
"""Source of a dataset whose bytes are somewhere else."""
SOURCES = ("upload", "kaggle", "url", REGISTERED)


class ArtifactState(StrEnum):
    """Life of an artifact."""

    PENDING = "pending"
    ACTIVE = "active"
    DELETING = "deleting"
    DELETED = "deleted"
    ABANDONED = "abandoned"


GONE = frozenset({ArtifactState.DELETED, ArtifactState.ABANDONED})


@dataclass(frozen=True)
class TableFormat:
    """How a text file is to be read as a table."""

    delimiter: str = ""
    encoding: str = ""


@dataclass(frozen=True)
class ArtifactCopy:
    """One place that holds an object."""

    backend: str = ""
    bucket: str = ""
    uri: str = ""


@entity("projects", unique=[("user_id", "name")], indexes=[("user_id", "create_time", "id"), ("create_time", "id")])
class Project(Record):
    """A named piece of a user's work."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    name: str = attribute(default="", required=True, max_length=NAME, updatable=True, searchable=True)
    task_type: str = attribute(default="general_ml", one_of=TASK_TYPES, max_length=NAME, updatable=True)
    status: str = attribute(default="active", one_of=("active", "completed"), max_length=NAME, updatable=True)


@entity(
    "artifacts",
    unique=[("placement", "key")],
    indexes=[
        ("user_id", "create_time", "id"),
        ("project_id", "create_time", "id"),
        ("placement", "create_time", "id"),
        ("state", "create_time", "id"),
        ("state", "update_time"),
        ("state", "expire_time"),
        ("create_time", "id"),
    ],
)
class Artifact(Record):
    """What is recorded of one stored object."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    project_id: str | None = attribute(default=None, reference=Reference("projects", OnDelete.SET_NULL), max_length=ID)
    job_id: str = attribute(default="", max_length=NAME)
    kind: str = attribute(default="", required=True, one_of=ARTIFACT_KINDS, max_length=NAME)
    state: ArtifactState = attribute(default=ArtifactState.PENDING, output_only=True)
    placement: str = attribute(default="", required=True, max_length=NAME)
    key: str = attribute(default="", required=True, max_length=PATH)
    backend: str = attribute(default="", output_only=True, max_length=NAME)
    bucket: str = attribute(default="", output_only=True, max_length=PATH)
    uri: str = attribute(default="", output_only=True)
    size: int = attribute(default=0, output_only=True, minimum=0)
    sha256: str = attribute(default="", output_only=True, pattern=SHA256_PATTERN, max_length=64)
    copies: list[ArtifactCopy] = attribute(factory=list, output_only=True)
    fallback: bool = attribute(default=False, output_only=True)
    storage_failures: list[str] = attribute(factory=list, output_only=True)
    write_time: datetime | None = attribute(default=None, output_only=True)
    expire_time: datetime | None = attribute(default=None, output_only=True)
    download_count: int = attribute(default=0, output_only=True, minimum=0, counter=True)


@entity("datasets", indexes=[("user_id", "create_time", "id"), ("create_time", "id"), ("project_id",)])
class Dataset(Record):
    """An uploaded table or archive of images."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    project_id: str | None = attribute(
        default=None, reference=Reference("projects", OnDelete.SET_NULL), max_length=ID, updatable=True
    )
    artifact_id: str | None = attribute(
        default=None,
        unique=True,
        reference=Reference("artifacts", OnDelete.RESTRICT, owned=True),
        max_length=ID,
    )
    name: str = attribute(default="", required=True, max_length=NAME, updatable=True, searchable=True)
    file_name: str = attribute(default="", max_length=PATH, searchable=True)
    row_count: int = attribute(default=0, minimum=0)
    column_count: int = attribute(default=0, minimum=0)
    column_names: list[str] = attribute(factory=list)
    file_size: int = attribute(default=0, minimum=0)
    sha256: str = attribute(default="", pattern=SHA256_PATTERN, max_length=64)
    format: TableFormat | None = attribute(default=None)
    target_column: str = attribute(default="", updatable=True)
    source: str = attribute(default="upload", one_of=SOURCES, max_length=NAME)
    status: str = attribute(default="ready", one_of=("ready",), max_length=NAME)
    description: str = attribute(default="", updatable=True, searchable=True)
    uri: str = attribute(default="", updatable=True)
    splits: dict[str, Any] | None = attribute(default=None, updatable=True)
    tags: dict[str, Any] | None = attribute(default=None, updatable=True)
    kind: str = attribute(default="table", one_of=("table", "archive"), max_length=NAME)
