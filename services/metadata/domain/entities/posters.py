"""Posters: campaigns, what their events are about, and a record of every image made."""

from typing import Any

from services.metadata.domain.declarations import OnDelete, Reference, attribute, entity
from services.metadata.domain.entities.record import ID, NAME, PATH, Record

CAMPAIGN_STATUSES = ("active", "completed", "archived")
GENERATION_TYPES = ("background", "composite", "upload")


@entity("campaigns", indexes=[("user_id", "create_time", "id"), ("create_time", "id"), ("project_id",)])
class Campaign(Record):
    """What a set of posters is made for."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    project_id: str | None = attribute(
        default=None, reference=Reference("projects", OnDelete.SET_NULL), max_length=ID, updatable=True
    )
    name: str = attribute(default="", required=True, max_length=NAME, updatable=True, searchable=True)
    description: str = attribute(default="", updatable=True, searchable=True)
    status: str = attribute(default="active", one_of=CAMPAIGN_STATUSES, max_length=NAME, updatable=True)


@entity("event_contexts", indexes=[("user_id", "create_time", "id"), ("create_time", "id")])
class EventContext(Record):
    """What a campaign's event is about."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    campaign_id: str = attribute(
        default="",
        required=True,
        unique=True,
        reference=Reference("campaigns", OnDelete.CASCADE),
        max_length=ID,
    )
    event_name: str = attribute(default="", required=True, max_length=NAME, updatable=True, searchable=True)
    event_date: str = attribute(default="", max_length=NAME, updatable=True)
    venue: str = attribute(default="", updatable=True, searchable=True)
    description: str = attribute(default="", updatable=True, searchable=True)
    mood: str = attribute(default="", max_length=NAME, updatable=True)
    palette: list[str] = attribute(factory=list, updatable=True)
    artists: list[str] = attribute(factory=list, updatable=True)
    details: dict[str, Any] | None = attribute(default=None, updatable=True)


@entity(
    "postbacks",
    indexes=[
        ("user_id", "create_time", "id"),
        ("campaign_id", "create_time", "id"),
        ("render_id", "create_time", "id"),
        ("create_time", "id"),
    ],
)
class Postback(Record):
    """One image that was made or uploaded, with all that it takes to make it again."""

    user_id: str = attribute(default="", required=True, max_length=NAME)
    campaign_id: str = attribute(default="", max_length=NAME)
    render_id: str = attribute(default="", required=True, max_length=NAME)
    artifact_id: str | None = attribute(
        default=None,
        unique=True,
        reference=Reference("artifacts", OnDelete.RESTRICT, owned=True),
        max_length=ID,
    )
    image_url: str = attribute(default="", max_length=PATH * 2)
    background_url: str = attribute(default="", max_length=PATH * 2)
    composite_url: str = attribute(default="", max_length=PATH * 2)
    size: str = attribute(default="", max_length=NAME)
    width: int = attribute(default=0, minimum=0)
    height: int = attribute(default=0, minimum=0)
    prompt: str = attribute(default="", searchable=True)
    model: str = attribute(default="", max_length=NAME)
    seed: int = attribute(default=0)
    event_name: str = attribute(default="", max_length=NAME, searchable=True)
    event_date: str = attribute(default="", max_length=NAME)
    mood: str = attribute(default="", max_length=NAME)
    palette: list[str] = attribute(factory=list)
    artists: list[str] = attribute(factory=list)
    image_index: int = attribute(default=0, minimum=0)
    prompt_source: str = attribute(default="", max_length=NAME)
    generation_type: str = attribute(default="background", one_of=GENERATION_TYPES, max_length=NAME)
    details: dict[str, Any] | None = attribute(default=None)
