"""Campaigns, what their events are about, and a record of every image."""

import asyncio

import pytest
from grpc.aio import AioRpcError

from modelyard.metadata.v1 import artifact_pb2
from modelyard.metadata.v1 import campaign_pb2 as campaigns
from modelyard.metadata.v1 import postback_pb2 as pb
from servicekit import statuses

from .aggregates import Aggregates, kept, mask
from .conftest import Metadata, written_at


@pytest.fixture
def aggregates(metadata: Metadata) -> Aggregates:
    return Aggregates(metadata)


async def listed(aggregates: Aggregates, **filters: object) -> list[str]:
    found = await aggregates.postbacks.ListPostbacks(pb.ListPostbacksRequest(**filters), **aggregates.quick)
    return [each.id for each in found.postbacks]


async def save(aggregates: Aggregates, campaign_id: str, **fields: object) -> campaigns.EventContext:
    given = {"user_id": "ada", "campaign_id": campaign_id, "event_name": "Summer Festival", **fields}
    request = campaigns.SaveEventContextRequest(event_context=given)
    return await aggregates.campaigns.SaveEventContext(request, **aggregates.quick)


async def test_postback_keeps_all_it_takes_to_make_the_image_again(aggregates: Aggregates):
    """001.1, 001.19: prompt, model, seed, event, mood, palette, artists and details; seeds beyond 32 bits are kept."""
    given = pb.Postback(
        user_id="ada",
        campaign_id="abc123",
        render_id="xyz789",
        image_url="https://res.example.com/bg_square_1.png",
        background_url="https://res.example.com/bg.png",
        composite_url="https://res.example.com/composite.png",
        size="square",
        width=2048,
        height=2048,
        prompt="vibrant neon concert atmosphere — größer",
        model="FLUX.1-dev",
        seed=2**53 + 1,
        event_name="Summer Music Festival",
        event_date="2025-08-15",
        mood="neon",
        palette=["#9D00FF", "#00FFD1", "#FF006E"],
        artists=["DJ Shadow", "The Beats"],
        image_index=2,
        prompt_source="ai_enhanced",
        generation_type="composite",
        details={"strength": 0.6, "bbox": [0, 0, 10, 20]},
    )
    request = pb.CreatePostbackRequest(postback=given, request_id="one")
    created = await aggregates.postbacks.CreatePostback(request, **aggregates.quick)
    again = await aggregates.postbacks.CreatePostback(request, **aggregates.quick)
    got = await aggregates.postbacks.GetPostback(pb.GetPostbackRequest(id=created.id), **aggregates.quick)

    assert created == again == got == kept(given, got)


async def test_postback_is_recorded_with_its_artifact(aggregates: Aggregates):
    """001.9: the record tells of an image that is really stored."""
    artifact = await aggregates.metadata.artifact(kind="poster", placement="posters")
    request = pb.CreatePostbackRequest(
        postback={"user_id": "ada", "render_id": "r", "artifact_id": artifact.id},
        request_id="one",
        artifact=written_at(artifact.id),
    )
    postback = await aggregates.postbacks.CreatePostback(request, **aggregates.quick)
    wanted = artifact_pb2.GetArtifactRequest(id=artifact.id)
    active = await aggregates.metadata.artifacts.GetArtifact(wanted, **aggregates.quick)
    deleted = await aggregates.postbacks.DeletePostback(pb.DeletePostbackRequest(id=postback.id), **aggregates.quick)
    with pytest.raises(AioRpcError) as raised:
        await aggregates.metadata.artifacts.GetArtifact(wanted, **aggregates.quick)

    assert active.state == artifact_pb2.ARTIFACT_STATE_ACTIVE
    assert deleted.count == 2
    assert raised.value.code().name == "NOT_FOUND"


async def test_postbacks_of_a_campaign_come_newest_first(aggregates: Aggregates):
    """001.3, 001.7: all images of a campaign, which need not be recorded itself."""
    made = [(await aggregates.postback(campaign_id="abc123")).id for _ in range(3)]
    other = (await aggregates.postback(campaign_id="", generation_type="upload", user_id="grace")).id

    assert await listed(aggregates, campaign_id="abc123") == made[::-1]
    assert await listed(aggregates, generation_type="upload") == await listed(aggregates, user_id="grace") == [other]
    assert await listed(aggregates, campaign_id="nothing") == []


async def test_postback_is_found_by_its_render(aggregates: Aggregates):
    """001.3, 001.8: one record by its render id; of several the newest."""
    await aggregates.postback(render_id="xyz789", image_index=0)
    newest = await aggregates.postback(render_id="xyz789", image_index=1)
    found = await aggregates.postbacks.GetPostback(pb.GetPostbackRequest(render_id="xyz789"), **aggregates.quick)
    codes = []
    for request in (pb.GetPostbackRequest(render_id="nothing"), pb.GetPostbackRequest()):
        with pytest.raises(AioRpcError) as raised:
            await aggregates.postbacks.GetPostback(request, **aggregates.quick)
        codes.append(raised.value.code().name)

    assert found == newest
    assert len(await listed(aggregates, render_id="xyz789")) == 2
    assert codes == ["NOT_FOUND", "INVALID_ARGUMENT"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"render_id": ""}, "render_id"),
        ({"user_id": ""}, "user_id"),
        ({"width": -1}, "width"),
        ({"generation_type": "dream"}, "generation_type"),
        ({"palette": ["nul\x00"]}, "palette"),
    ],
)
async def test_impossible_postback_is_refused(aggregates: Aggregates, fields: dict[str, object], field: str):
    with pytest.raises(AioRpcError) as raised:
        await aggregates.postback(**fields)

    assert statuses.field_of(raised.value) == field


async def test_images_are_counted_by_what_they_were_made_with(aggregates: Aggregates):
    """001.20: analytics of patterns, styles and moods from the records."""
    for mood, model in (("neon", "flux"), ("neon", "gradient"), ("calm", "gradient"), ("neon", "gradient")):
        await aggregates.postback(campaign_id="abc123", mood=mood, model=model, size="square")
    await aggregates.postback(campaign_id="other", mood="", generation_type="upload")

    async def counted(**filters: str) -> pb.PostbackStatistics:
        request = pb.GetPostbackStatisticsRequest(**filters)
        return await aggregates.postbacks.GetPostbackStatistics(request, **aggregates.quick)

    mine, all_of_them = await counted(campaign_id="abc123"), await counted()
    nothing = await counted(user_id="nobody")

    assert (mine.count, all_of_them.count, nothing.count) == (4, 5, 0)
    assert [(each.value, each.count) for each in mine.by_mood] == [("neon", 3), ("calm", 1)]
    assert [(each.value, each.count) for each in mine.by_model] == [("gradient", 3), ("flux", 1)]
    assert [(each.value, each.count) for each in mine.by_size] == [("square", 4)]
    assert [(each.value, each.count) for each in all_of_them.by_generation_type] == [("background", 4), ("upload", 1)]
    assert ("", 1) in [(each.value, each.count) for each in all_of_them.by_mood]
    assert not nothing.by_mood


async def test_campaign_keeps_every_field(aggregates: Aggregates):
    project = await aggregates.metadata.project()
    given = campaigns.Campaign(
        user_id="ada", project_id=project.id, name="Sommer", description="größer", status="completed"
    )
    request = campaigns.CreateCampaignRequest(campaign=given, request_id="one")
    created = await aggregates.campaigns.CreateCampaign(request, **aggregates.quick)
    got = await aggregates.campaigns.GetCampaign(campaigns.GetCampaignRequest(id=created.id), **aggregates.quick)
    change = campaigns.UpdateCampaignRequest(
        campaign={"id": got.id, "status": "archived", "etag": got.etag}, update_mask=mask("status", "project_id")
    )
    updated = await aggregates.campaigns.UpdateCampaign(change, **aggregates.quick)
    found = await aggregates.campaigns.ListCampaigns(
        campaigns.ListCampaignsRequest(user_id="ada", status="archived"), **aggregates.quick
    )

    assert created == got == kept(given, got)
    assert (updated.status, updated.project_id) == ("archived", "")
    assert list(found.campaigns) == [updated]


async def test_event_context_is_saved_over_what_was_there(aggregates: Aggregates):
    """001.4: what a campaign's images are made from is saved once a campaign."""
    campaign = await aggregates.campaign()
    first = await save(aggregates, campaign.id, mood="neon", palette=["#9D00FF"], artists=["DJ"], venue="Park")
    second = await save(aggregates, campaign.id, mood="calm", details={"year": 2025}, event_date="2025-08-15")
    request = campaigns.GetEventContextRequest(campaign_id=campaign.id)
    got = await aggregates.campaigns.GetEventContext(request, **aggregates.quick)

    assert got == second
    assert (got.id, got.create_time) == (first.id, first.create_time)
    assert (got.mood, list(got.palette), got.venue, got.event_date) == ("calm", [], "", "2025-08-15")
    assert got.details["year"] == 2025


async def test_event_context_is_saved_under_its_etag(aggregates: Aggregates):
    campaign = await aggregates.campaign()
    first = await save(aggregates, campaign.id)
    await save(aggregates, campaign.id, etag=first.etag, mood="neon")
    other = await aggregates.campaign()
    codes = []
    for wrong in (campaign.id, other.id):
        with pytest.raises(AioRpcError) as raised:
            await save(aggregates, wrong, etag=first.etag, mood="calm")
        codes.append(raised.value.code().name)

    assert codes == ["ABORTED", "ABORTED"]


async def test_one_event_context_is_left_of_many_saved_at_once(aggregates: Aggregates):
    campaign = await aggregates.campaign()
    saved = await asyncio.gather(*(save(aggregates, campaign.id, mood=f"mood {number}") for number in range(8)))
    request = campaigns.ListEventContextsRequest()
    found = await aggregates.campaigns.ListEventContexts(request, **aggregates.quick)

    assert len({each.id for each in saved}) == len(found.event_contexts) == 1


async def test_event_context_before_it_is_saved_is_not_found(aggregates: Aggregates):
    """001: without a saved context there is nothing to make images from."""
    campaign = await aggregates.campaign()
    request = campaigns.GetEventContextRequest(campaign_id=campaign.id)
    with pytest.raises(AioRpcError) as raised:
        await aggregates.campaigns.GetEventContext(request, **aggregates.quick)
    with pytest.raises(AioRpcError) as orphan:
        await save(aggregates, "nothing")

    assert raised.value.code().name == "NOT_FOUND"
    assert orphan.value.code().name == "FAILED_PRECONDITION"


async def test_deleted_campaign_leaves_its_images(aggregates: Aggregates):
    campaign = await aggregates.campaign()
    await save(aggregates, campaign.id)
    postback = await aggregates.postback(campaign_id=campaign.id)
    request = campaigns.DeleteCampaignRequest(id=campaign.id)
    deleted = await aggregates.campaigns.DeleteCampaign(request, **aggregates.quick)

    assert deleted.count == 2
    assert await listed(aggregates, campaign_id=campaign.id) == [postback.id]
