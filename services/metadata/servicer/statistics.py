"""What a person who looks after Modelyard asks."""

from typing_extensions import override

from modelyard.metadata.v1 import admin_pb2, admin_pb2_grpc
from services.metadata import converters
from services.metadata.domain.ports import Reader
from services.metadata.domain.statistics import count_all
from services.metadata.servicer.aggregate import Aggregate


class AdminServicer(Aggregate, admin_pb2_grpc.AdminServiceServicer):
    """Statistics."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(admin_pb2.DESCRIPTOR.services_by_name["AdminService"])
        self._reader = reader

    @override
    async def GetStatistics(self, request: admin_pb2.GetStatisticsRequest, context: object) -> admin_pb2.Statistics:
        return converters.statistics_of(await count_all(self._reader, request.user_id))

    async def ExportRecords(self, request, context):
        raise NotImplementedError

    async def ImportRecords(self, request_iterator, context):
        raise NotImplementedError

    async def GetImport(self, request, context):
        raise NotImplementedError

    async def DigestRecords(self, request, context):
        raise NotImplementedError
