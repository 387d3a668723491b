"""Users and their sessions."""

import asyncio
import time

import pytest
from grpc.aio import AioRpcError

from modelyard.metadata.v1 import account_pb2 as pb
from servicekit import statuses
from services.metadata.adapters import passwords

from .aggregates import PASSWORD, Aggregates, mask
from .conftest import Metadata

DAY = 86_400


@pytest.fixture
def aggregates(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> Aggregates:
    monkeypatch.setattr(passwords, "ROUNDS", 4)  # the least there is: a hash is made in a moment
    return Aggregates(metadata)


async def verify(aggregates: Aggregates, email: str, password: str) -> pb.User:
    request = pb.VerifyPasswordRequest(email=email, password=password)
    return await aggregates.accounts.VerifyPassword(request, **aggregates.quick)


async def touch(aggregates: Aggregates, token: str) -> pb.TouchSessionResponse:
    return await aggregates.accounts.TouchSession(pb.TouchSessionRequest(token=token), **aggregates.quick)


async def refusal(aggregates: Aggregates, token: str) -> str:
    with pytest.raises(AioRpcError) as raised:
        await touch(aggregates, token)
    assert raised.value.code().name == "UNAUTHENTICATED"
    return statuses.reason_of(raised.value)


async def test_user_is_created_with_the_limits_of_the_tier(aggregates: Aggregates):
    """003.2: a user has an email, a tier and the tier's limits."""
    user = await aggregates.user(email="Ada@Example.ORG", name="Ada")
    by_id = await aggregates.accounts.GetUser(pb.GetUserRequest(id=user.id), **aggregates.quick)
    by_email = await aggregates.accounts.GetUser(pb.GetUserRequest(email=" aDa@example.org"), **aggregates.quick)

    assert user == by_id == by_email
    assert (user.email, user.name, user.tier) == ("ada@example.org", "Ada", pb.TIER_FREE)
    assert (user.limits.stories_per_month, user.limits.rows, user.limits.team_members) == (3, 1000, 1)


async def test_tiers_are_listed_with_their_limits(aggregates: Aggregates):
    """003.2: stories a month, rows and team members of each tier; absent is unlimited."""
    listed = await aggregates.accounts.ListTiers(pb.ListTiersRequest(), **aggregates.quick)
    limits = [
        [
            getattr(each.limits, name) if each.limits.HasField(name) else None
            for name in each.limits.DESCRIPTOR.fields_by_name
        ]
        for each in listed.tiers
    ]

    assert [each.tier for each in listed.tiers] == [1, 2, 3, 4]
    assert limits == [[3, 1_000, 1], [50, 50_000, 5], [200, 100_000, 20], [None, 1_000_000, None]]


async def test_email_is_unique_whatever_its_case(aggregates: Aggregates):
    """003.2: an email belongs to one user, and after a refusal the next write works."""
    await aggregates.user(email="ada@example.org")
    with pytest.raises(AioRpcError) as raised:
        await aggregates.user(email="ADA@EXAMPLE.ORG")

    assert raised.value.code().name == "ALREADY_EXISTS"
    assert "email" in raised.value.details()
    assert (await aggregates.user(email="grace@example.org")).id


async def test_repeat_with_one_request_id_returns_the_first_user(aggregates: Aggregates):
    request = pb.CreateUserRequest(user={"email": "ada@example.org"}, password=PASSWORD, request_id="one")
    first, second = [await aggregates.accounts.CreateUser(request, **aggregates.quick) for _ in range(2)]

    assert first == second


@pytest.mark.parametrize(
    ("user", "password", "field"),
    [
        ({"email": ""}, PASSWORD, "email"),
        ({"email": "nobody"}, PASSWORD, "email"),
        ({"email": "a b@example.org"}, PASSWORD, "email"),
        ({"email": "a@b@c"}, PASSWORD, "email"),
        ({"email": "a@" + "b" * 253}, PASSWORD, "email"),
        ({"email": "a@b", "tier": 9}, PASSWORD, "tier"),
        ({"email": "a@b"}, "", "password"),
        ({"email": "a@b"}, "short", "password"),
        ({"email": "a@b"}, "ö" * 37, "password"),
    ],
)
async def test_impossible_user_is_refused(aggregates: Aggregates, user: dict[str, object], password: str, field: str):
    request = pb.CreateUserRequest(user=user, password=password, request_id="one")
    with pytest.raises(AioRpcError) as raised:
        await aggregates.accounts.CreateUser(request, **aggregates.quick)

    assert statuses.field_of(raised.value) == field


async def test_user_is_known_by_the_password(aggregates: Aggregates):
    """003.2: only whoever knows the password is let in."""
    user = await aggregates.user(email="ada@example.org")

    assert await verify(aggregates, "Ada@example.org", PASSWORD) == user


@pytest.mark.parametrize("password", ["", "wrong password", PASSWORD + "!", PASSWORD.upper(), "p" * 5000])
async def test_wrong_password_and_unknown_email_look_alike(aggregates: Aggregates, password: str):
    await aggregates.user(email="ada@example.org")
    refusals = []
    for email in ("ada@example.org", "nobody@example.org", ""):
        with pytest.raises(AioRpcError) as raised:
            await verify(aggregates, email, password)
        refusals.append((raised.value.code().name, raised.value.details()))

    assert refusals[0] == refusals[1] == refusals[2]
    assert refusals[0][0] == "UNAUTHENTICATED"


async def test_unknown_email_takes_as_long_as_a_wrong_password(metadata: Metadata, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(passwords, "ROUNDS", 10)
    aggregates = Aggregates(metadata)
    await aggregates.user(email="ada@example.org")
    known, unknown = [await _least_seconds(aggregates, email) for email in ("ada@example.org", "nobody@example.org")]

    assert min(known, unknown) > max(known, unknown) / 4


async def _least_seconds(aggregates: Aggregates, email: str) -> float:
    """What a wrong password costs the processor, without what falls due by chance meanwhile."""
    seconds = []
    for _ in range(3):
        began = time.process_time()
        with pytest.raises(AioRpcError):
            await verify(aggregates, email, "wrong password")
        seconds.append(time.process_time() - began)
    return min(seconds)


async def test_no_answer_holds_a_password_or_its_hash(aggregates: Aggregates):
    """003.2: the hash never leaves the service."""
    user = await aggregates.user()
    answers = [
        user,
        await verify(aggregates, user.email, PASSWORD),
        await aggregates.accounts.ListUsers(pb.ListUsersRequest(), **aggregates.quick),
    ]

    assert not any(secret in str(answer) for answer in answers for secret in (PASSWORD, "$2b$", "hash"))


async def test_new_password_ends_all_sessions(aggregates: Aggregates):
    user, token = await aggregates.user(), aggregates.token()
    await aggregates.session(user.id, token)
    request = pb.SetPasswordRequest(id=user.id, password="another password")
    await aggregates.accounts.SetPassword(request, **aggregates.quick)
    with pytest.raises(AioRpcError) as raised:
        await verify(aggregates, user.email, PASSWORD)

    assert raised.value.code().name == "UNAUTHENTICATED"
    assert (await verify(aggregates, user.email, "another password")).id == user.id
    assert await refusal(aggregates, token) == "SESSION_UNKNOWN"


async def test_user_is_updated(aggregates: Aggregates):
    user, other = await aggregates.user(), await aggregates.user()
    change = {"id": user.id, "email": "New@Example.org", "name": "New", "tier": pb.TIER_BUSINESS, "etag": user.etag}
    request = pb.UpdateUserRequest(user=change, update_mask=mask("email", "name", "tier"))
    updated = await aggregates.accounts.UpdateUser(request, **aggregates.quick)
    taken = pb.UpdateUserRequest(user={"id": other.id, "email": "NEW@example.org"}, update_mask=mask("email"))
    with pytest.raises(AioRpcError) as raised:
        await aggregates.accounts.UpdateUser(taken, **aggregates.quick)

    assert (updated.email, updated.name, updated.limits.rows) == ("new@example.org", "New", 100_000)
    assert raised.value.code().name == "ALREADY_EXISTS"
    assert (await verify(aggregates, "new@example.org", PASSWORD)).id == user.id


async def test_users_are_listed_by_tier(aggregates: Aggregates):
    await aggregates.user()
    business = await aggregates.user(tier=pb.TIER_BUSINESS)
    request = pb.ListUsersRequest(tier=pb.TIER_BUSINESS)
    listed = await aggregates.accounts.ListUsers(request, **aggregates.quick)

    assert list(listed.users) == [business]


@pytest.mark.parametrize(("remember_me", "days"), [(False, 7), (True, 30)])
async def test_session_lasts_its_time(aggregates: Aggregates, remember_me: bool, days: int):
    """003.5: a session lasts 7 days, 30 with rememberMe, and then is expired."""
    user, token = await aggregates.user(), aggregates.token()
    given = {"user_agent": "curl/8", "ip_address": "::1", "remember_me": remember_me}
    session = await aggregates.session(user.id, token, **given)
    aggregates.clock.forward(days * DAY - 60)
    before = await touch(aggregates, token)
    aggregates.clock.forward(61)

    assert session.expire_time.seconds - session.create_time.seconds == days * DAY
    assert {name: getattr(session, name) for name in given} == given
    assert before.user == user
    assert await refusal(aggregates, token) == "SESSION_EXPIRED"


async def test_activity_is_recorded_to_the_minute(aggregates: Aggregates):
    """003.5: updateActivity; what is read at every request is not written at every one."""
    user, token = await aggregates.user(), aggregates.token()
    session = await aggregates.session(user.id, token)
    aggregates.clock.forward(30)
    soon = (await touch(aggregates, token)).session
    aggregates.clock.forward(40)
    later = (await touch(aggregates, token)).session

    assert soon == session
    assert 70 <= later.last_active_time.seconds - session.last_active_time.seconds <= 80
    assert later.expire_time == session.expire_time


async def test_unknown_token_is_nobodys(aggregates: Aggregates):
    assert await refusal(aggregates, aggregates.token()) == "SESSION_UNKNOWN"
    assert await refusal(aggregates, "") == "SESSION_UNKNOWN"


async def test_token_belongs_to_one_session(aggregates: Aggregates):
    """003.5: a token is unique."""
    user, token = await aggregates.user(), aggregates.token()
    await aggregates.session(user.id, token)
    with pytest.raises(AioRpcError) as raised:
        await aggregates.session(user.id, token)

    assert raised.value.code().name == "ALREADY_EXISTS"
    assert token not in raised.value.details()


@pytest.mark.parametrize("token", ["", "short", "t" * 31, "t" * 4097])
async def test_token_that_can_be_guessed_is_refused(aggregates: Aggregates, token: str):
    user = await aggregates.user()
    request = pb.CreateSessionRequest(session={"user_id": user.id}, token=token, request_id="one")
    with pytest.raises(AioRpcError) as raised:
        await aggregates.accounts.CreateSession(request, **aggregates.quick)

    assert statuses.field_of(raised.value) == "token"


async def test_session_of_no_user_is_refused(aggregates: Aggregates):
    with pytest.raises(AioRpcError) as raised:
        await aggregates.session("nobody")

    assert raised.value.code().name == "FAILED_PRECONDITION"


async def test_renewed_session_is_known_by_its_new_token_alone(aggregates: Aggregates):
    user, old, new = await aggregates.user(), aggregates.token(), aggregates.token()
    session = await aggregates.session(user.id, old)
    aggregates.clock.forward(DAY)
    request = pb.RenewSessionRequest(token=old, new_token=new)
    renewed = await aggregates.accounts.RenewSession(request, **aggregates.quick)
    again = await aggregates.accounts.RenewSession(request, **aggregates.quick)

    assert renewed == again
    assert renewed.id == session.id
    assert renewed.expire_time.seconds - session.expire_time.seconds in range(DAY, DAY + 10)
    assert await refusal(aggregates, old) == "SESSION_UNKNOWN"
    assert (await touch(aggregates, new)).session.id == session.id


async def test_expired_session_is_not_renewed(aggregates: Aggregates):
    user, old = await aggregates.user(), aggregates.token()
    await aggregates.session(user.id, old)
    aggregates.clock.forward(8 * DAY)
    with pytest.raises(AioRpcError) as raised:
        request = pb.RenewSessionRequest(token=old, new_token=aggregates.token())
        await aggregates.accounts.RenewSession(request, **aggregates.quick)

    assert statuses.reason_of(raised.value) == "SESSION_EXPIRED"


async def test_session_is_ended_by_its_token_or_its_id(aggregates: Aggregates):
    user, token = await aggregates.user(), aggregates.token()
    await aggregates.session(user.id, token)
    other = await aggregates.session(user.id)
    requests = [
        pb.DeleteSessionRequest(token=token),
        pb.DeleteSessionRequest(id=other.id),
        pb.DeleteSessionRequest(token=token, allow_missing=True),
    ]
    ended = [await aggregates.accounts.DeleteSession(request, **aggregates.quick) for request in requests]
    with pytest.raises(AioRpcError) as raised:
        await aggregates.accounts.DeleteSession(requests[0], **aggregates.quick)

    assert [each.count for each in ended] == [1, 1, 0]
    assert raised.value.code().name == "NOT_FOUND"
    assert await refusal(aggregates, token) == "SESSION_UNKNOWN"


async def test_expired_sessions_are_cleaned_up(aggregates: Aggregates):
    """003.5: cleanupExpired removes what has expired and says how many that were."""
    user = await aggregates.user()
    for _ in range(3):
        await aggregates.session(user.id)
    stays = await aggregates.session(user.id, remember_me=True)
    aggregates.clock.forward(8 * DAY)
    request = pb.DeleteExpiredSessionsRequest()
    counts = [(await aggregates.accounts.DeleteExpiredSessions(request, **aggregates.quick)).count for _ in range(2)]
    left = await aggregates.accounts.ListSessions(pb.ListSessionsRequest(user_id=user.id), **aggregates.quick)

    assert counts == [3, 0]
    assert [each.id for each in left.sessions] == [stays.id]


async def test_everything_of_an_account_goes_with_it(aggregates: Aggregates):
    user, token = await aggregates.user(), aggregates.token()
    await aggregates.session(user.id, token)
    reserve = pb.ReserveUsageRequest(user_id=user.id, what="stories", amount=1, request_id="one")
    await aggregates.accounts.ReserveUsage(reserve, **aggregates.quick)
    deleted = await aggregates.accounts.DeleteUser(pb.DeleteUserRequest(id=user.id), **aggregates.quick)

    assert deleted.count == 4
    assert await refusal(aggregates, token) == "SESSION_UNKNOWN"
    assert (await aggregates.user(email=user.email)).id != user.id


async def test_twenty_registrations_at_once_make_one_user(aggregates: Aggregates):
    tries = (aggregates.user(email="ada@example.org") for _ in range(20))
    results = await asyncio.gather(*tries, return_exceptions=True)
    made = [each for each in results if isinstance(each, pb.User)]
    refused = [each.code().name for each in results if isinstance(each, AioRpcError)]

    assert len(made) == 1
    assert refused == ["ALREADY_EXISTS"] * 19
