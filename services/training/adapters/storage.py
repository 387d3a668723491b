"""Reads stored datasets from the storage service."""

from collections.abc import AsyncIterator

import grpc

from modelyard.storage.v1 import storage_pb2, storage_pb2_grpc
from servicekit.channels import Channel
from servicekit.errors import NotFound, Problem
from services.training.domain.errors import DatasetUnreadable, PackageNotFound, PackageUnreadable
from services.training.domain.model import DatasetSource

# Generous: the largest datasets take minutes, and a storage service that hangs is noticed by keep-alive much sooner.
DOWNLOAD_SECONDS = 3600.0

UNREADABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class DatasetNotFound(NotFound):
    """There is no dataset {key} in {placement}. It may have been deleted; upload it again."""


class StoredDatasets:
    """Implements DatasetReader over gRPC."""

    missing: type[Problem] = DatasetNotFound
    unreadable: type[Problem] = DatasetUnreadable

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._storage = storage_pb2_grpc.StorageServiceStub(channel.grpc)

    async def read(self, source: DatasetSource) -> AsyncIterator[bytes]:
        """The bytes of a dataset. Raises DatasetNotFound, DatasetUnreadable, and the service's own refusal."""
        name = storage_pb2.ObjectName(placement=source.placement, key=source.key)
        call = self._storage.Download(storage_pb2.DownloadRequest(name=name), **self._channel.within(DOWNLOAD_SECONDS))
        try:
            async for response in call:
                if response.chunk:
                    yield response.chunk
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                raise self.missing(key=source.key, placement=source.placement) from error
            if error.code() in UNREADABLE:
                raise self.unreadable(key=source.key, placement=source.placement) from error
            raise
        finally:
            call.cancel()


class StoredPackages(StoredDatasets):
    """The same for packaged models; what it raises speaks of them: PackageNotFound, PackageUnreadable."""

    missing = PackageNotFound
    unreadable = PackageUnreadable
