"""Objects in this process's memory: for tests of whatever speaks to storage, and gone with the process."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from services.storage.domain.errors import NoFiles, ObjectExists, ObjectNotFound, StagedFileUnknown
from services.storage.domain.model import CHUNK_BYTES, Batch, Draft, ObjectName, Span, StoredObject


@dataclass(frozen=True)
class OpenBytes:
    """An object and its bytes."""

    stored: StoredObject
    data: bytes
    path: str = ""

    async def batches(self, span: Span) -> AsyncGenerator[Batch, None]:
        """Its bytes, a chunk a batch."""
        end = span.start + span.count
        for start in range(span.start, end, CHUNK_BYTES):
            yield [self.data[start : min(start + CHUNK_BYTES, end)]]


class MemoryBackend:
    """Keeps objects in a dictionary."""

    direct = None

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self._objects: dict[ObjectName, OpenBytes] = {}

    @asynccontextmanager
    async def create(self, draft: Draft) -> AsyncIterator["PendingBytes"]:
        """Begin an object that nobody refers to yet."""
        yield PendingBytes(self, draft)

    async def stage(self) -> str:
        """Memory keeps no files."""
        raise NoFiles(backend=self.name)

    @asynccontextmanager
    async def open(self, name: ObjectName) -> AsyncIterator[OpenBytes]:
        """Begin to read an object."""
        yield self._found(name)

    async def stat(self, name: ObjectName) -> StoredObject:
        """Describe an object."""
        return self._found(name).stored

    async def page(self, placement: str, prefix: str, after: str, limit: int) -> list[StoredObject]:
        """List objects."""
        keys = sorted(name.key for name in self._objects if name.placement == placement)
        wanted = [key for key in keys if key.startswith(prefix) and key > after]
        return [self._objects[ObjectName(placement, key)].stored for key in wanted[:limit]]

    async def delete(self, name: ObjectName) -> int:
        """Delete an object."""
        size = self._found(name).stored.size
        del self._objects[name]
        return size

    async def sign(self, stored: StoredObject, expires: datetime) -> str:  # noqa: ARG002 — the port's signature
        """Memory has no address."""
        return ""

    async def probe(self) -> None:
        """Memory is always there."""

    def put(self, stored: StoredObject, data: bytes) -> None:
        """Publish an object. Fails with ObjectExists."""
        if stored.name in self._objects:
            raise ObjectExists(key=stored.name.key, placement=stored.name.placement)
        self._objects[stored.name] = OpenBytes(stored, data)

    def _found(self, name: ObjectName) -> OpenBytes:
        if name not in self._objects:
            raise ObjectNotFound(key=name.key, placement=name.placement)
        return self._objects[name]


class PendingBytes:
    """Bytes that are collected."""

    def __init__(self, backend: MemoryBackend, draft: Draft) -> None:
        self._backend = backend
        self._draft = draft
        self._data = bytearray()

    async def write(self, batch: Batch) -> None:
        """Append the next bytes."""
        self._data += b"".join(batch)

    async def staged(self, count: int) -> Batch:  # noqa: ARG002 — the port's signature
        """Memory offered no file."""
        raise StagedFileUnknown

    async def commit(self, size: int, sha256: str) -> StoredObject:
        """Publish."""
        name, backend = self._draft.name, self._backend
        uri = f"{backend.name}://{name.placement}/{name.key}"
        stored = StoredObject(
            self._draft, size, sha256, datetime.now(UTC), backend.name, bucket=name.placement, uri=uri
        )
        backend.put(stored, bytes(self._data))
        return stored
