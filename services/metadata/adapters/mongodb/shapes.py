"""How the documents look: under which names those who read the database already know them.

A collection and a field are called what the readers of it call them; all that no reader knows keeps its own name. A
record is written under these names and nowhere else, so that a reader and this program see the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.metadata.domain import entities
from services.metadata.domain.declarations import ENTITIES

Render = Callable[[Any], Any]


@dataclass(frozen=True)
class Shown:
    """An attribute once more, in the form that readers know. It is read only where the attribute itself is missing."""

    attribute: str
    path: str
    render: Render
    read: Render | None = None


@dataclass(frozen=True)
class Shape:
    """The form of an entity's documents."""

    collection: str = ""
    """The entity's own name when empty."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Attributes that are called otherwise, with dots where a field lies in another."""
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Attributes whose words are called otherwise."""
    shown: tuple[Shown, ...] = ()
    blank_is_null: frozenset[str] = frozenset()
    """Attributes that are null, not an empty text, when there is nothing to tell."""
    object_ids: bool = True
    """Whether an id that has the form of an ObjectId is one. Other ids are text."""
    expires_by: str = ""
    """The attribute that says when the server may remove a document by itself."""
    split: frozenset[str] = frozenset()
    """Attributes whose words are kept each by itself, as an index looks them up."""
    indexes: tuple[tuple[str, ...], ...] = ()
    """Fields that readers look documents up by, besides what the entity declares."""


MOMENTS = {"create_time": "createdAt", "update_time": "updatedAt"}
CAMEL = {**MOMENTS, "user_id": "userId"}

SHAPES: dict[str, Shape] = {
    "projects": Shape(fields={**CAMEL, "task_type": "taskType"}),
    "datasets": Shape(fields={"create_time": "uploaded_at"}),
    "models": Shape(fields={"create_time": "created_at"}),
    "postbacks": Shape(
        collection="postback",
        fields={
            "create_time": "created_at",
            "image_url": "cloudinary_url",
            "image_index": "metadata.index",
            "prompt_source": "metadata.prompt_source",
            "generation_type": "metadata.generation_type",
        },
        blank_is_null=frozenset({"background_url", "composite_url"}),
        object_ids=False,
    ),
    "users": Shape(fields={**MOMENTS, "password_hash": "passwordHash"}),
    "sessions": Shape(
        fields={
            **CAMEL,
            "token_hash": "token",  # readers hold this field unique; the token itself is kept nowhere
            "user_agent": "userAgent",
            "ip_address": "ipAddress",
            "remember_me": "rememberMe",
            "expire_time": "expiresAt",
            "last_active_time": "lastActivityAt",
        },
        expires_by="expire_time",
    ),
    "stories": Shape(fields={**CAMEL, "processing_ms": "processingTime"}),
    "jobs": Shape(
        fields={**CAMEL, "stage": "currentStage", "progress": "fraction"},
        words={"status": {"running": "processing"}},
        shown=(
            Shown("id", "jobId", str),
            Shown("progress", "progress", lambda done: int(100 * done), lambda percent: percent / 100),
        ),
        indexes=(("jobId",),),
    ),
    "search_texts": Shape(split=frozenset({"words"}), indexes=(("words", "create_time"),)),
}

NESTED: dict[type[Any], dict[str, str]] = {
    entities.StoryDataset: {
        "original_filename": "originalFilename",
        "storage_key": "s3Key",
        "row_count": "rowCount",
        "column_count": "columnCount",
        "file_size": "fileSize",
    },
    entities.Narratives: {"key_findings": "keyFindings"},
}
"""Messages inside a document whose fields are called otherwise."""

PLAIN = Shape()


def shape_of(entity: str) -> Shape:
    """The form of an entity's documents: told above, or as the entity declares itself."""
    return SHAPES.get(entity, PLAIN)


def collection_of(entity: str) -> str:
    """Name of the collection that holds an entity's documents."""
    return shape_of(entity).collection or ENTITIES[entity].name
