"""Usage limits, which hold whoever asks at the same time."""

import asyncio
from datetime import datetime, timedelta

import pytest
from grpc.aio import AioRpcError

from modelyard.metadata.v1 import account_pb2 as pb
from servicekit import statuses
from services.metadata.adapters import passwords

from .aggregates import Aggregates, mask
from .conftest import Metadata


@pytest.fixture
def aggregates(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> Aggregates:
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    return Aggregates(metadata)


async def reserve(
    aggregates: Aggregates, user_id: str, amount: int = 1, request_id: str = "", what: str = "stories", **more: int
) -> pb.ReserveUsageResponse:
    request = pb.ReserveUsageRequest(
        user_id=user_id, what=what, amount=amount, request_id=request_id or aggregates.request_id(), **more
    )
    return await aggregates.accounts.ReserveUsage(request, **aggregates.quick)


async def release(aggregates: Aggregates, user_id: str, request_id: str) -> int:
    request = pb.ReleaseUsageRequest(user_id=user_id, request_id=request_id)
    return (await aggregates.accounts.ReleaseUsage(request, **aggregates.quick)).amount


async def usage(aggregates: Aggregates, user_id: str) -> dict[str, pb.Usage]:
    request = pb.GetUsageRequest(user_id=user_id)
    return {each.what: each for each in (await aggregates.accounts.GetUsage(request, **aggregates.quick)).usages}


async def test_nothing_is_used_at_first(aggregates: Aggregates):
    """003.2: storiesThisMonth begins at nothing."""
    used = await usage(aggregates, (await aggregates.user()).id)

    month = f"{aggregates.clock():%Y-%m}"
    assert used == {
        "stories": pb.Usage(what="stories", period=month, amount=0, limit=3),
        "team_members": pb.Usage(what="team_members", amount=0, limit=1),
    }


async def test_limit_of_the_tier_holds(aggregates: Aggregates):
    """003.2: canCreateStory: the fourth story of a month is refused to a free user, and a larger tier allows it."""
    user = await aggregates.user()
    used = [(await reserve(aggregates, user.id)).usage.amount for _ in range(3)]
    with pytest.raises(AioRpcError) as raised:
        await reserve(aggregates, user.id)
    after = await usage(aggregates, user.id)
    larger = pb.UpdateUserRequest(user={"id": user.id, "tier": pb.TIER_PROFESSIONAL}, update_mask=mask("tier"))
    await aggregates.accounts.UpdateUser(larger, **aggregates.quick)
    fourth = await reserve(aggregates, user.id)

    assert used == [1, 2, 3]
    assert raised.value.code().name == "RESOURCE_EXHAUSTED"
    assert statuses.reason_of(raised.value) == "USAGE_LIMIT_REACHED"
    assert not statuses.is_transient(raised.value)
    assert after["stories"].amount == 3
    assert (fourth.usage.amount, fourth.usage.limit) == (4, 50)


async def test_limit_holds_under_concurrency(aggregates: Aggregates):
    """003.2: a limit holds under concurrent requests."""
    user = await aggregates.user()
    tries = (reserve(aggregates, user.id, limit=10) for _ in range(30))
    results = await asyncio.gather(*tries, return_exceptions=True)
    refused = [each for each in results if isinstance(each, AioRpcError)]

    assert [statuses.reason_of(each) for each in refused] == ["USAGE_LIMIT_REACHED"] * 20
    assert (await usage(aggregates, user.id))["stories"].amount == 10


async def test_no_limit_is_no_limit(aggregates: Aggregates):
    user = await aggregates.user(tier=pb.TIER_ENTERPRISE)
    reserved = await reserve(aggregates, user.id, amount=1_000_000)

    assert reserved.usage.amount == 1_000_000
    assert not reserved.usage.HasField("limit")


async def test_amount_fits_whole_or_not_at_all(aggregates: Aggregates):
    user = await aggregates.user()
    await reserve(aggregates, user.id, amount=2)
    with pytest.raises(AioRpcError):
        await reserve(aggregates, user.id, amount=2)

    assert (await reserve(aggregates, user.id, amount=1)).usage.amount == 3


async def test_repeat_reserves_nothing_more(aggregates: Aggregates):
    """A repeat is known although the limit is reached meanwhile: usage is never counted twice."""
    user = await aggregates.user()
    first = await reserve(aggregates, user.id, amount=3, request_id="one")
    again = await asyncio.gather(*(reserve(aggregates, user.id, amount=3, request_id="one") for _ in range(5)))

    assert all(each == first for each in again)
    assert (await usage(aggregates, user.id))["stories"].amount == 3


async def test_what_is_given_back_can_be_used_again(aggregates: Aggregates):
    user = await aggregates.user()
    await reserve(aggregates, user.id, amount=2, request_id="one")
    await reserve(aggregates, user.id, amount=1, request_id="two")
    given_back = await asyncio.gather(*(release(aggregates, user.id, "one") for _ in range(5)))

    assert sorted(given_back) == [0, 0, 0, 0, 2]
    assert (await usage(aggregates, user.id))["stories"].amount == 1
    assert (await reserve(aggregates, user.id, amount=2)).usage.amount == 3


async def test_nobody_gives_back_what_another_reserved(aggregates: Aggregates):
    user, other = await aggregates.user(), await aggregates.user()
    await reserve(aggregates, user.id, request_id="one")
    with pytest.raises(AioRpcError) as raised:
        await reserve(aggregates, other.id, request_id="one")

    assert raised.value.code().name == "ALREADY_EXISTS"
    assert await release(aggregates, other.id, "one") == 0
    assert [(await usage(aggregates, each.id))["stories"].amount for each in (user, other)] == [1, 0]


async def test_month_begins_anew(aggregates: Aggregates):
    """003.2: stories are counted by the month; what is given back late leaves the new month alone."""
    user = await aggregates.user()
    await reserve(aggregates, user.id, amount=3, request_id="old")
    await reserve(aggregates, user.id, what="team_members")
    now = aggregates.clock()
    following = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=now.tzinfo)
    aggregates.clock.forward((following - now + timedelta(seconds=5)).total_seconds())
    fresh = await reserve(aggregates, user.id, amount=2)
    given_back = await release(aggregates, user.id, "old")
    used = await usage(aggregates, user.id)

    assert (fresh.usage.period, fresh.usage.amount) == (f"{following:%Y-%m}", 2)
    assert given_back == 3
    assert (used["stories"].amount, used["team_members"].amount) == (2, 1)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"what": "gold"}, "what"),
        ({"amount": 0}, "amount"),
        ({"amount": -1}, "amount"),
        ({"amount": 1_000_001}, "amount"),
        ({"limit": -1}, "limit"),
        ({"request_id": "r" * 201}, "request_id"),
    ],
)
async def test_impossible_reservation_is_refused(aggregates: Aggregates, fields: dict[str, object], field: str):
    user = await aggregates.user()
    with pytest.raises(AioRpcError) as raised:
        await reserve(aggregates, user.id, **fields)

    assert raised.value.code().name == "INVALID_ARGUMENT"
    assert statuses.field_of(raised.value) == field


async def test_usage_of_nobody_is_not_found(aggregates: Aggregates):
    codes = []
    for call in (reserve(aggregates, "nobody"), usage(aggregates, "nobody")):
        with pytest.raises(AioRpcError) as raised:
            await call
        codes.append(raised.value.code().name)

    assert codes == ["NOT_FOUND", "NOT_FOUND"]
