"""What records are found by."""

from datetime import datetime

from services.metadata.domain.declarations import EPOCH, attribute, entity
from services.metadata.domain.entities.record import ID, NAME


@entity(
    "search_texts",
    key=("entity", "record_id"),
    indexes=[("create_time", "entity", "record_id"), ("user_id", "create_time", "entity", "record_id")],
    listed_by=("create_time", "entity", "record_id"),
    derived=True,
)
class SearchText:
    """The words of one record's texts, of whatever kind it is."""

    entity: str = attribute(default="", required=True, max_length=32)
    record_id: str = attribute(default="", required=True, max_length=ID)
    user_id: str = attribute(default="", max_length=NAME)
    name: str = attribute(default="", max_length=NAME)
    """What people know it by."""
    create_time: datetime = attribute(default=EPOCH)
    words: str = attribute(default="", searchable=True)
    """As an index keeps them."""
