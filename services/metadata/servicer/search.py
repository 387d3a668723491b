"""Looks for words in what people wrote."""

from typing_extensions import override

from modelyard.metadata.v1 import search_pb2, search_pb2_grpc
from services.metadata import converters
from services.metadata.domain.searching import Search
from services.metadata.servicer.aggregate import Aggregate


class SearchServicer(Aggregate, search_pb2_grpc.SearchServiceServicer):
    """Search."""

    def __init__(self, search: Search) -> None:
        super().__init__(search_pb2.DESCRIPTOR.services_by_name["SearchService"])
        self._search = search

    @override
    async def SearchRecords(
        self, request: search_pb2.SearchRecordsRequest, context: object
    ) -> search_pb2.SearchRecordsResponse:
        page = await self._search.page(
            request.query, request.user_id, request.entities, request.page_size, request.page_token
        )
        results = [converters.search_result_of(each) for each in page.records]
        return search_pb2.SearchRecordsResponse(results=results, next_page_token=page.next_page_token)
