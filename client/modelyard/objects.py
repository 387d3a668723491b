"""Objects from Python, straight from the storage service: for programs that keep records of their own.

    from modelyard.objects import ObjectStore

    with ObjectStore("127.0.0.1:50051") as store:
        url = store.upload_dataset("ada", "penguins", data, "penguins.csv")
        data = store.download_dataset(url)

`AsyncObjectStore` has the same calls for programs with an event loop. What is stored here has no record, and says so:
`modelyard storage scan` leaves it alone.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import grpc
from grpc.aio import AioRpcError

from modelyard import object_calls as calls
from modelyard.errors import ModelyardError
from modelyard.object_calls import BYTES_SECONDS, Ask, Call, ProjectStats, Send, Source, StoredFile
from modelyard.storage.v1 import storage_pb2 as pb
from modelyard.storage.v1.storage_pb2_grpc import StorageServiceStub
from servicekit import statuses
from servicekit.channels import OPTIONS, Channel, service_config

__all__ = ["AsyncObjectStore", "ObjectStore", "ProjectStats", "StoredFile"]

Result = TypeVar("Result")

DEFAULT_ADDRESS = "127.0.0.1:50051"
ONCE = ("modelyard.storage.v1.StorageService/Upload",)
FOR_AN_HOUR = 3600.0


class ObjectStore:
    """A connection to a storage service. Every method has a deadline, and raises ModelyardError when it fails.

    `token` is MODELYARD_SERVICE_TOKEN of the service; `gateway_url` makes addresses that the gateway serves whole.
    It is closed by `close`, or at the end of a `with` block.
    """

    def __init__(self, address: str = DEFAULT_ADDRESS, token: str = "", gateway_url: str = "") -> None:
        target = address if address.startswith("unix:") or ":///" in address else f"dns:///{address}"
        self._address = address
        self._gateway_url = gateway_url
        self._channel = grpc.insecure_channel(target, options=(*OPTIONS, ("grpc.service_config", service_config(ONCE))))
        self._stub: Any = StorageServiceStub(self._channel)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    @property
    def is_configured(self) -> bool:
        """Whether the backend that datasets go to has its settings."""
        return self._made(calls.is_configured())

    def upload_dataset(self, user_id: str, dataset_id: str, file_content: Source, filename: str) -> str:
        """Store a dataset's file; its address. The same bytes again are no second file, other bytes are refused."""
        return self._made(calls.upload_dataset(user_id, dataset_id, file_content, filename))

    def download_dataset(self, url: str) -> bytes:
        """The bytes of a dataset's file, by the address that its upload gave."""
        return self._made(calls.download_dataset(url))

    def delete_dataset(self, user_id: str, dataset_id: str) -> int:
        """Delete all files of a dataset; how many there were."""
        return self._made(calls.delete_dataset(user_id, dataset_id))

    def upload_file(
        self,
        data: Source,
        name: str,
        *,
        user_id: str = "",
        folder: str = "",
        tags: Sequence[str] = (),
        public_id: str = "",
    ) -> StoredFile:
        """Store a file for a user, whom `user_id` or the last part of `folder` names; bytes, or a path to stream from.

        It gets a name that no other file has, unless `public_id` gives it one, as `generate_upload_key` makes them.
        """
        return self._made(calls.upload_file(data, name, user_id, folder, tags, public_id, self._gateway_url))

    def secure_url(self, public_id: str, expires: float = FOR_AN_HOUR) -> str:
        """An address from which whoever holds it can download a file for so many seconds."""
        return self._made(calls.secure_url(public_id, expires, self._gateway_url))

    def download_file(self, public_id: str) -> bytes:
        """The bytes of a file, checked."""
        return self._made(calls.download_file(public_id))

    def save_file(self, public_id: str, to: str | Path) -> Path:
        """Put a file on the disk, streamed; it appears there whole and checked, or not at all."""
        return self._made(calls.save_file(public_id, Path(to)))

    def delete_file(self, public_id: str) -> bool:
        """Delete a file; whether there was one."""
        return self._made(calls.delete_file(public_id))

    def file_exists(self, public_id: str) -> bool:
        """Whether there is such a file."""
        return self._made(calls.file_exists(public_id))

    def file_metadata(self, public_id: str) -> StoredFile:
        """What is known of a file."""
        return self._made(calls.file_metadata(public_id))

    def generate_upload_key(self, user_id: str, file_name: str) -> str:
        """A name for a file to come that no other file has: `uploads/USER/TIME-FILE`."""
        return self._made(calls.generate_upload_key(user_id, file_name))

    def project_storage_stats(self, user_id: str = "") -> ProjectStats:
        """How much is kept of projects: one user's, or everybody's."""
        return self._made(calls.project_storage_stats(user_id))

    def _made(self, call: Call[Result]) -> Result:
        with closing(call):
            try:
                wanted = next(call)
                while True:
                    try:
                        with _understood(self._address):
                            answer = self._answer(wanted)
                    except ModelyardError as error:
                        wanted = call.throw(error)
                    else:
                        wanted = call.send(answer)
            except StopIteration as ended:
                result: Result = ended.value
                return result

    def _answer(self, wanted: Ask | Send | calls.Fetch) -> Any:
        if isinstance(wanted, Ask):
            method = getattr(self._stub, wanted.method)
            return method(wanted.request, timeout=wanted.seconds, metadata=self._metadata)
        if isinstance(wanted, Send):
            return self._stub.Upload(wanted.messages(), timeout=BYTES_SECONDS, metadata=self._metadata)
        request = pb.DownloadRequest(name=wanted.name)
        answers = self._stub.Download(request, timeout=BYTES_SECONDS, metadata=self._metadata)
        stored = None
        for message in answers:
            stored = stored or message.header.object
            wanted.take(message.chunk)
        return stored


class AsyncObjectStore:
    """The same for programs with an event loop. It is closed by `close`, or at the end of an `async with` block."""

    def __init__(self, address: str = DEFAULT_ADDRESS, token: str = "", gateway_url: str = "") -> None:
        self._address = address
        self._gateway_url = gateway_url
        self._channel = Channel(address, token, ONCE)
        self._stub: Any = StorageServiceStub(self._channel.grpc)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def is_configured(self) -> bool:
        """Whether the backend that datasets go to has its settings."""
        return await self._made(calls.is_configured())

    async def upload_dataset(self, user_id: str, dataset_id: str, file_content: Source, filename: str) -> str:
        """Store a dataset's file; its address. The same bytes again are no second file, other bytes are refused."""
        return await self._made(calls.upload_dataset(user_id, dataset_id, file_content, filename))

    async def download_dataset(self, url: str) -> bytes:
        """The bytes of a dataset's file, by the address that its upload gave."""
        return await self._made(calls.download_dataset(url))

    async def delete_dataset(self, user_id: str, dataset_id: str) -> int:
        """Delete all files of a dataset; how many there were."""
        return await self._made(calls.delete_dataset(user_id, dataset_id))

    async def upload_file(
        self,
        data: Source,
        name: str,
        *,
        user_id: str = "",
        folder: str = "",
        tags: Sequence[str] = (),
        public_id: str = "",
    ) -> StoredFile:
        """Store a file for a user, as `ObjectStore.upload_file` does."""
        return await self._made(calls.upload_file(data, name, user_id, folder, tags, public_id, self._gateway_url))

    async def secure_url(self, public_id: str, expires: float = FOR_AN_HOUR) -> str:
        """An address from which whoever holds it can download a file for so many seconds."""
        return await self._made(calls.secure_url(public_id, expires, self._gateway_url))

    async def download_file(self, public_id: str) -> bytes:
        """The bytes of a file, checked."""
        return await self._made(calls.download_file(public_id))

    async def save_file(self, public_id: str, to: str | Path) -> Path:
        """Put a file on the disk, streamed; it appears there whole and checked, or not at all."""
        return await self._made(calls.save_file(public_id, Path(to)))

    async def delete_file(self, public_id: str) -> bool:
        """Delete a file; whether there was one."""
        return await self._made(calls.delete_file(public_id))

    async def file_exists(self, public_id: str) -> bool:
        """Whether there is such a file."""
        return await self._made(calls.file_exists(public_id))

    async def file_metadata(self, public_id: str) -> StoredFile:
        """What is known of a file."""
        return await self._made(calls.file_metadata(public_id))

    async def generate_upload_key(self, user_id: str, file_name: str) -> str:
        """A name for a file to come that no other file has: `uploads/USER/TIME-FILE`."""
        return await self._made(calls.generate_upload_key(user_id, file_name))

    async def project_storage_stats(self, user_id: str = "") -> ProjectStats:
        """How much is kept of projects: one user's, or everybody's."""
        return await self._made(calls.project_storage_stats(user_id))

    async def _made(self, call: Call[Result]) -> Result:
        # The call itself may read or write a file between its questions, so it never runs on the loop.
        ended, wanted = await asyncio.to_thread(_resumed, call, None, None)
        try:
            while not ended:
                answer, problem = None, None
                try:
                    with _understood(self._address):
                        answer = await self._answer(wanted)
                except ModelyardError as error:
                    problem = error
                ended, wanted = await asyncio.to_thread(_resumed, call, answer, problem)
        finally:
            call.close()
        result: Result = wanted
        return result

    async def _answer(self, wanted: Ask | Send | calls.Fetch) -> Any:
        if isinstance(wanted, Ask):
            return await getattr(self._stub, wanted.method)(wanted.request, **self._channel.within(wanted.seconds))
        within = self._channel.within(BYTES_SECONDS)
        if isinstance(wanted, Send):
            return await self._stub.Upload(_threaded(wanted.messages()), **within)
        answers = self._stub.Download(pb.DownloadRequest(name=wanted.name), **within)
        stored = None
        async for message in answers:
            stored = stored or message.header.object
            await asyncio.to_thread(wanted.take, message.chunk)
        return stored


def _resumed(call: Call[Any], answer: Any, problem: ModelyardError | None) -> tuple[bool, Any]:
    """Let a call go on: whether it has ended, and what it wants next, or its result."""
    try:
        return False, call.throw(problem) if problem else call.send(answer)
    except StopIteration as ended:
        return True, ended.value


async def _threaded(messages: Iterator[pb.UploadRequest]) -> AsyncIterator[pb.UploadRequest]:
    """Messages that are read from a disk, each read in a thread."""
    while (message := await asyncio.to_thread(next, messages, None)) is not None:
        yield message


@contextmanager
def _understood(address: str) -> Iterator[None]:
    """Turn what the storage service answers with, or that it does not answer, into a ModelyardError."""
    try:
        yield
    except grpc.RpcError as error:
        raise _problem(error, address) from error


def _problem(error: Any, address: str) -> ModelyardError:
    # Of both kinds of calls; the types know only the one.
    known: AioRpcError = error
    if statuses.was_broken_off(known):
        message = f"Nothing answers at {address}. Start Modelyard, or give the address of its storage service."
        return ModelyardError(0, "UNREACHABLE", message, retryable=True)
    reason = statuses.reason_of(known)
    return ModelyardError(0, reason, known.details() or reason, retryable=statuses.is_transient(known))
