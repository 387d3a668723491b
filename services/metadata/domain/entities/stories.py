"""Data stories."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from services.metadata.domain.declarations import OnDelete, Reference, attribute, entity
from services.metadata.domain.entities.record import ID, NAME, Record


class Visibility(StrEnum):
    """Who may read a story."""

    PRIVATE = "private"
    PUBLIC = "public"


@dataclass(frozen=True)
class StoryDataset:
    """The table that a story tells of, as it was when the story was made."""

    original_filename: str = ""
    storage_key: str = ""
    row_count: int = 0
    column_count: int = 0
    file_size: int = 0


@dataclass(frozen=True)
class Narratives:
    """The three texts of a story."""

    summary: str = ""
    key_findings: str = ""
    recommendations: str = ""


@entity(
    "stories",
    indexes=[
        ("user_id", "create_time", "id"),
        ("visibility", "create_time", "id"),
        ("create_time", "id"),
        ("dataset_id",),
        ("job_id",),
    ],
)
class Story(Record):
    """What a table says, told with texts, charts and statistics."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    job_id: str = attribute(default="", max_length=NAME)
    dataset_id: str | None = attribute(default=None, reference=Reference("datasets", OnDelete.SET_NULL), max_length=ID)
    artifact_id: str | None = attribute(
        default=None,
        unique=True,
        reference=Reference("artifacts", OnDelete.RESTRICT, owned=True),
        max_length=ID,
    )
    title: str = attribute(default="", required=True, max_length=NAME, updatable=True, searchable=True)
    dataset: StoryDataset | None = attribute(default=None)
    narratives: Narratives | None = attribute(default=None, updatable=True)
    charts: list[dict[str, Any]] = attribute(factory=list, updatable=True)
    statistics: dict[str, Any] | None = attribute(default=None, updatable=True)
    audience_level: str = attribute(default="", max_length=NAME)
    processing_ms: int = attribute(default=0, minimum=0)
    visibility: Visibility = attribute(default=Visibility.PRIVATE, updatable=True)
