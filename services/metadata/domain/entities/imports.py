"""How far imports of records are."""

from services.metadata.domain.declarations import attribute, entity
from services.metadata.domain.entities.record import NAME, Record


@entity("imports", indexes=[("create_time", "id")])
class Import(Record):
    """An import of records: written together with each of its parts, so that one that broke off goes on."""

    entity: str = attribute(default="", max_length=NAME)
    """Kind of the last part; empty when there was none."""
    position: str = attribute(default="")
    """Of that part's last record."""
    count: int = attribute(default=0, minimum=0)
    """Records written, altogether."""
    complete: bool = attribute(default=False)
