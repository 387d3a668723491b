"""What a person who looks after Modelyard asks."""

from collections.abc import AsyncIterator

from typing_extensions import override

from modelyard.metadata.v1 import admin_pb2, admin_pb2_grpc
from services.metadata import converters
from services.metadata.domain.exporting import Exports
from services.metadata.domain.importing import Imports
from services.metadata.domain.ports import Reader
from services.metadata.domain.statistics import count_all
from services.metadata.servicer.aggregate import Aggregate


class AdminServicer(Aggregate, admin_pb2_grpc.AdminServiceServicer):
    """Statistics, exports and imports."""

    def __init__(self, reader: Reader, exports: Exports, imports: Imports) -> None:
        super().__init__(admin_pb2.DESCRIPTOR.services_by_name["AdminService"])
        self._reader = reader
        self._exports = exports
        self._imports = imports

    @override
    async def GetStatistics(self, request: admin_pb2.GetStatisticsRequest, context: object) -> admin_pb2.Statistics:
        return converters.statistics_of(await count_all(self._reader, request.user_id))

    @override
    async def ExportRecords(
        self, request: admin_pb2.ExportRecordsRequest, context: object
    ) -> AsyncIterator[admin_pb2.RecordBatch]:
        async for batch in self._exports.batches(converters.wish_of(request)):
            yield converters.batch_of(batch)

    @override
    async def ImportRecords(
        self, request_iterator: AsyncIterator[admin_pb2.ImportRecordsRequest], context: object
    ) -> admin_pb2.Import:
        return converters.import_of(await self._imports.take(converters.parts_of(request_iterator)))

    @override
    async def GetImport(self, request: admin_pb2.GetImportRequest, context: object) -> admin_pb2.Import:
        return converters.import_of(await self._imports.get(request.import_id))

    @override
    async def DigestRecords(
        self, request: admin_pb2.DigestRecordsRequest, context: object
    ) -> AsyncIterator[admin_pb2.EntityDigest]:
        async for digest in self._exports.digests(request.entities):
            yield converters.DIGEST.encode(digest)
