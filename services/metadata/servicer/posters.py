"""Posters: campaigns and postbacks."""

from typing_extensions import override

from modelyard.metadata.v1 import campaign_pb2, campaign_pb2_grpc, postback_pb2, postback_pb2_grpc
from services.metadata import converters
from services.metadata.domain.entities import Campaign
from services.metadata.domain.posters import Contexts, Postbacks
from services.metadata.domain.records import Records
from services.metadata.servicer.aggregate import Aggregate, Standard


class CampaignServicer(Aggregate, campaign_pb2_grpc.CampaignServiceServicer):
    """Campaigns, and what their events are about."""

    def __init__(self, campaigns: Records[Campaign], contexts: Contexts) -> None:
        kinds = Standard(campaigns, converters.CAMPAIGN), Standard(contexts, converters.EVENT_CONTEXT)
        super().__init__(campaign_pb2.DESCRIPTOR.services_by_name["CampaignService"], *kinds)
        self._contexts = contexts

    @override
    async def SaveEventContext(
        self, request: campaign_pb2.SaveEventContextRequest, context: object
    ) -> campaign_pb2.EventContext:
        given = converters.EVENT_CONTEXT.decode(request.event_context)
        return converters.EVENT_CONTEXT.encode(await self._contexts.keep(given))

    @override
    async def GetEventContext(
        self, request: campaign_pb2.GetEventContextRequest, context: object
    ) -> campaign_pb2.EventContext:
        return converters.EVENT_CONTEXT.encode(await self._contexts.of(request.campaign_id))


class PostbackServicer(Aggregate, postback_pb2_grpc.PostbackServiceServicer):
    """Records of images."""

    def __init__(self, postbacks: Postbacks) -> None:
        service = postback_pb2.DESCRIPTOR.services_by_name["PostbackService"]
        super().__init__(service, Standard(postbacks, converters.POSTBACK))
        self._postbacks = postbacks

    @override
    async def CreatePostback(
        self, request: postback_pb2.CreatePostbackRequest, context: object
    ) -> postback_pb2.Postback:
        given, written = converters.POSTBACK.decode(request.postback), converters.written_of(request)
        return converters.POSTBACK.encode(await self._postbacks.record(given, request.request_id, written))

    @override
    async def GetPostback(self, request: postback_pb2.GetPostbackRequest, context: object) -> postback_pb2.Postback:
        return converters.POSTBACK.encode(await self._postbacks.find(request.id, request.render_id))

    @override
    async def GetPostbackStatistics(
        self, request: postback_pb2.GetPostbackStatisticsRequest, context: object
    ) -> postback_pb2.PostbackStatistics:
        return converters.tallies_of(await self._postbacks.tallies(request.user_id, request.campaign_id))
