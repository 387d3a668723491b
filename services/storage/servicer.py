"""storage.proto over the use cases: decode, call, encode."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from typing_extensions import override

from modelyard.storage.v1 import storage_pb2 as pb
from modelyard.storage.v1 import storage_pb2_grpc
from services.storage import converters
from services.storage.domain.catalog import Catalog
from services.storage.domain.copies import Copies, Keeper
from services.storage.domain.downloads import Downloads
from services.storage.domain.model import ObjectName
from services.storage.domain.shelves import Shelves
from services.storage.domain.signing import Signer
from services.storage.domain.tickets import Tickets
from services.storage.domain.uploads import Uploads


@dataclass(frozen=True)
class StorageServicer(storage_pb2_grpc.StorageServiceServicer):
    """The storage service. Errors are raised as they are; an interceptor makes them statuses."""

    shelves: Shelves
    uploads: Uploads
    downloads: Downloads
    catalog: Catalog
    signer: Signer
    tickets: Tickets
    copies: Copies
    keeper: Keeper

    @override
    async def NameObject(self, request: pb.NameObjectRequest, context: object) -> pb.ObjectName:
        key = self.shelves.of(request.placement).policy.key(request.attributes)
        return pb.ObjectName(placement=request.placement, key=key)

    @override
    async def Upload(self, request_iterator: AsyncIterator[pb.UploadRequest], context: object) -> pb.Object:
        kept = await self.uploads.take(converters.parts_of(request_iterator), self.tickets.draft_in)
        return converters.object_message(kept)

    @override
    async def StageUpload(self, request: pb.StageUploadRequest, context: object) -> pb.StageUploadResponse:
        return pb.StageUploadResponse(path=await self.uploads.stage(request.placement))

    @override
    async def Download(self, request: pb.DownloadRequest, context: object) -> AsyncIterator[pb.DownloadResponse]:
        async with self.downloads.open(self._target(request), request.offset, request.length) as download:
            header = converters.header_message(download, request.by_path)
            yield header
            if not header.header.path:
                async for chunk in download.chunks():
                    yield pb.DownloadResponse(chunk=chunk)

    def _target(self, request: pb.DownloadRequest) -> ObjectName:
        if request.WhichOneof("target") == "token":
            return self.signer.name_in(request.token)
        return converters.name_of(request)

    @override
    async def GetObject(self, request: pb.GetObjectRequest, context: object) -> pb.Object:
        return converters.object_message(await self.catalog.describe(converters.name_of(request)))

    @override
    async def ListObjects(self, request: pb.ListObjectsRequest, context: object) -> pb.ListObjectsResponse:
        page = await self.catalog.page(request.placement, request.prefix, request.page_size, request.page_token)
        return converters.page_message(page)

    @override
    async def CopyObject(self, request: pb.CopyObjectRequest, context: object) -> pb.Object:
        source, to = converters.source_of(request), converters.destination_of(request)
        return converters.object_message(await self.copies.copy(source, to, request.backend, request.request_id))

    @override
    async def DeleteObject(self, request: pb.DeleteObjectRequest, context: object) -> pb.DeleteObjectResponse:
        size = await self.catalog.delete(converters.name_of(request), request.allow_missing, request.backend)
        return pb.DeleteObjectResponse(size=size)

    @override
    async def DeleteObjects(self, request: pb.DeleteObjectsRequest, context: object) -> pb.DeleteObjectsResponse:
        return converters.deleted_message(await self.catalog.delete_all(request.placement, request.prefix))

    @override
    async def SignDownload(self, request: pb.SignDownloadRequest, context: object) -> pb.SignDownloadResponse:
        address = await self.signer.sign(converters.name_of(request), converters.ttl_of(request))
        return converters.address_message(address)

    @override
    async def SignUpload(self, request: pb.SignUploadRequest, context: object) -> pb.UploadTicket:
        issued = await self.tickets.issue(converters.header_of(request.header), converters.ttl_of(request))
        return converters.ticket_message(issued)

    @override
    async def CompleteUpload(self, request: pb.CompleteUploadRequest, context: object) -> pb.Object:
        kept = await self.tickets.complete(request.token, converters.trailer_of(request.trailer))
        return converters.object_message(kept)

    @override
    async def GetUsage(self, request: pb.GetUsageRequest, context: object) -> pb.GetUsageResponse:
        usages = await self.catalog.usages(request.owner, request.placement)
        return converters.usage_message(usages, self.catalog.accounts.quota)

    @override
    async def SweepExpired(self, request: pb.SweepExpiredRequest, context: object) -> pb.SweepExpiredResponse:
        done = await self.keeper.sweep(request.placement, request.page_size, request.page_token, request.dry_run)
        return converters.swept_message(done)

    @override
    async def ReplicateObjects(
        self, request: pb.ReplicateObjectsRequest, context: object
    ) -> pb.ReplicateObjectsResponse:
        done = await self.keeper.replicate(request.placement, request.page_size, request.page_token, request.dry_run)
        return converters.replicated_message(done)

    @override
    async def ListPlacements(self, request: pb.ListPlacementsRequest, context: object) -> pb.ListPlacementsResponse:
        return converters.placements_message(self.shelves)

    @override
    async def ListBackends(self, request: pb.ListBackendsRequest, context: object) -> pb.ListBackendsResponse:
        return converters.backends_message(await self.catalog.backends())
