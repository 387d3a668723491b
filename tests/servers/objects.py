"""What a test does with a backend of any kind: puts an object there, gets it, lists them."""

import hashlib
from datetime import UTC, datetime, timedelta

from services.storage.domain.model import Draft, ObjectName, Span, StoredObject
from services.storage.domain.ports import Backend

PIECE = 256 * 1024


def draft(key: str, placement: str = "models", request_id: str = "r", **more: object) -> Draft:
    """An object to be."""
    return Draft(ObjectName(placement, key), "alice", "text/csv", "file.csv", request_id, **more)


async def put(backend: Backend, drafted: Draft | str, data: bytes = b"some bytes") -> StoredObject:
    """Store an object, a chunk at a time."""
    drafted = draft(drafted) if isinstance(drafted, str) else drafted
    async with backend.create(drafted) as pending:
        for start in range(0, len(data), PIECE):
            await pending.write([data[start : start + PIECE]])
        return await pending.commit(len(data), hashlib.sha256(data).hexdigest())


async def get(backend: Backend, key: str, placement: str = "models") -> bytes:
    """All bytes of an object."""
    async with backend.open(ObjectName(placement, key)) as source:
        span = Span(0, source.stored.size)
        return b"".join([piece async for batch in source.batches(span) for piece in batch])


async def keys(backend: Backend, prefix: str = "", limit: int = 100) -> list[str]:
    """All keys of models, page by page."""
    found: list[str] = []
    while page := await backend.page("models", prefix, found[-1] if found else "", limit):
        found += [stored.name.key for stored in page]
    return found


def expires(seconds: float = 60) -> datetime:
    """A moment to come."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def complete(backend: Backend, drafted: Draft) -> StoredObject:
    """Commit what came for a draft."""
    async with backend.direct.sent(drafted) as sent:
        data = b"".join([piece async for batch in sent.batches() for piece in batch])
        return await sent.commit(len(data), hashlib.sha256(data).hexdigest())
