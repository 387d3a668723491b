"""What all records have in common, and the words and limits that entities share."""

from dataclasses import dataclass
from datetime import datetime

from services.metadata.domain.declarations import EPOCH, attribute

NAME = 200
"""Most characters of a name, of an id that others give, and of all else that is looked up by."""
PATH = 1024
ID = 100
"""Most characters of a record's own id."""
ID_PATTERN = r"[A-Za-z0-9_-]{1,100}"
SHA256_PATTERN = r"[0-9a-f]{64}"


@dataclass(frozen=True, slots=True)
class Record:
    """What every record has that is known by an id."""

    id: str = attribute(default="", pattern=ID_PATTERN, max_length=ID)
    create_time: datetime = attribute(default=EPOCH, output_only=True)  # noqa: RUF009 (a field specifier)
    update_time: datetime = attribute(default=EPOCH, output_only=True)  # noqa: RUF009 (a field specifier)
    etag: str = attribute(default="", output_only=True, max_length=32)
    request_id: str | None = attribute(default=None, unique=True, output_only=True, max_length=NAME)
    """Of the request that created it; None for what another record's request created."""
