"""What storage needs of a backend. Every adapter passes tests/contract/storage."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol

from services.storage.domain.model import Batch, Draft, ObjectName, Span, StoredObject, Ticket


class PendingObject(Protocol):
    """An object that is being written; nobody sees it before it is committed."""

    async def write(self, batch: Batch) -> None:
        """Take the next bytes. Fails with BackendFull."""

    async def staged(self, count: int) -> Batch:
        """The next bytes of the file that its draft names. Fails with StagedFileUnknown, and StagedFileShort."""

    async def commit(self, size: int, sha256: str) -> StoredObject:
        """Publish the object, whole and durable, in one step. Fails with ObjectExists, then nothing has changed."""


class OpenObject(Protocol):
    """An object that is being read.

    When somebody deletes it meanwhile, its reader gets the rest of it all the same, or ObjectNotFound, never less.
    """

    @property
    def stored(self) -> StoredObject:
        """The object."""

    @property
    def path(self) -> str:
        """Where a reader on this machine finds the bytes as a file; empty where there is none."""

    def batches(self, span: Span) -> AsyncGenerator[Batch, None]:
        """The bytes of a span, in pieces of at most CHUNK_BYTES and batches of about BATCH_BYTES."""


class SentObject(Protocol):
    """Bytes that the holder of a ticket has sent; nobody sees them before they are committed."""

    def batches(self) -> AsyncGenerator[Batch, None]:
        """All of them, as OpenObject gives them."""

    async def commit(self, size: int, sha256: str) -> StoredObject:
        """Publish them, if they are still those that were read. Fails with ObjectExists."""


class DirectUploads(Protocol):
    """A backend's way of taking bytes from clients without this service between them."""

    longest: timedelta
    """How long a ticket can work at the most."""

    async def ticket(self, draft: Draft, expires: datetime) -> Ticket:
        """How to send the bytes of an object until a moment. Fails with ObjectExists."""

    def sent(self, draft: Draft) -> AbstractAsyncContextManager[SentObject]:
        """What came for a draft. What is not committed by the end of the block is removed.

        Fails with ObjectNotFound while nothing came.
        """


class Backend(Protocol):
    """A place for bytes.

    Every method fails with BackendUnreachable, BackendBusy, BackendRefused or BucketMissing while it cannot be used.
    """

    name: str

    @property
    def direct(self) -> DirectUploads | None:
        """How clients send bytes straight to it; None where they cannot."""

    def create(self, draft: Draft) -> AbstractAsyncContextManager[PendingObject]:
        """Begin an object. What is not committed by the end of the block leaves nothing behind."""

    async def stage(self) -> str:
        """Path of a new, empty file for the bytes of an upload. Fails with NoFiles where the backend keeps none."""

    def open(self, name: ObjectName) -> AbstractAsyncContextManager[OpenObject]:
        """Begin to read an object. Fails with ObjectNotFound, and ObjectDamaged where that shows at once."""

    async def stat(self, name: ObjectName) -> StoredObject:
        """Describe an object. Fails with ObjectNotFound."""

    async def page(self, placement: str, prefix: str, after: str, limit: int) -> list[StoredObject]:
        """The first objects, in the order of their keys, that start with prefix and come after a key."""

    async def delete(self, name: ObjectName) -> int:
        """Delete an object at once; the bytes freed. Of many callers one succeeds. Fails with ObjectNotFound."""

    async def sign(self, stored: StoredObject, expires: datetime) -> str:
        """An address of the backend's own that works until a moment; empty where the gateway has to serve it.

        It offers the object's file name to whoever downloads it.
        """

    async def probe(self) -> None:
        """Succeed when the backend can be written to; fail with BackendFull or BackendUnreachable."""
