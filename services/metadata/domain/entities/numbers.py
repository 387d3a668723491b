"""Whole numbers that records are known by besides their ids."""

from services.metadata.domain.declarations import attribute, entity
from services.metadata.domain.entities.record import ID, NAME, Record


@entity("record_counters", indexes=[("create_time", "id")])
class RecordCounter(Record):
    """The last number given to a record of one kind; its id is the name of the kind."""

    last_number: int = attribute(default=0, minimum=0, counter=True)


@entity(
    "record_numbers",
    unique=[("entity", "number"), ("entity", "record_id")],
    indexes=[("create_time", "id")],
)
class RecordNumber(Record):
    """The number of one record. It outlives the record, so that it is never given again."""

    entity: str = attribute(default="", required=True, max_length=NAME)
    number: int = attribute(default=0, minimum=1)
    record_id: str = attribute(default="", required=True, max_length=ID)
