"""Records by whole numbers."""

from typing_extensions import override

from modelyard.metadata.v1 import registry_pb2, registry_pb2_grpc
from services.metadata.domain.numbers import Numbers
from services.metadata.servicer.aggregate import Aggregate


class RegistryServicer(Aggregate, registry_pb2_grpc.RegistryServiceServicer):
    """Numbers of records."""

    def __init__(self, numbers: Numbers) -> None:
        super().__init__(registry_pb2.DESCRIPTOR.services_by_name["RegistryService"])
        self._numbers = numbers

    @override
    async def NumberRecords(
        self, request: registry_pb2.NumberRecordsRequest, context: object
    ) -> registry_pb2.NumberRecordsResponse:
        numbers = await self._numbers.number(request.entity, request.ids)
        return registry_pb2.NumberRecordsResponse(numbers=numbers)

    @override
    async def FindNumberedRecords(
        self, request: registry_pb2.FindNumberedRecordsRequest, context: object
    ) -> registry_pb2.FindNumberedRecordsResponse:
        ids = await self._numbers.find(request.entity, request.numbers)
        return registry_pb2.FindNumberedRecordsResponse(ids=ids)
