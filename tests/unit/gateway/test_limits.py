"""Who may do what, and how often."""

import httpx
import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from gateway import problems
from gateway.bootstrap import create_app
from gateway.identity import current_admin
from gateway.limits import LIMITED, Limit, TooManyTransfers, limits_of
from gateway.settings import GatewaySettings
from servicekit import errors

KEYS = {"ada": "a" * 32, "bob": "b" * 32}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_user_may_begin_as_many_as_the_limit_says_and_then_waits():
    """003.10."""
    clock = Clock()
    limit = Limit("uploads", 3, clock)
    for _ in range(3):
        limit.take("ada")
    with pytest.raises(TooManyTransfers) as refused:
        limit.take("ada")
    limit.take("bob")  # another's bucket is another's
    clock.now += 20
    limit.take("ada")

    assert refused.value.facts["after_seconds"] == 20
    with pytest.raises(TooManyTransfers):
        limit.take("ada")


def test_a_bucket_holds_no_more_than_a_minute():
    clock = Clock()
    limit = Limit("downloads", 2, clock)
    limit.take("ada")
    clock.now += 24 * 3600
    limit.take("ada")
    limit.take("ada")

    with pytest.raises(TooManyTransfers):
        limit.take("ada")


def test_a_refused_transfer_says_when_to_come_back():
    answer = problems.of_problem(TooManyTransfers(limit=3, what="uploads", after_seconds=17))

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "17")


def test_the_built_in_user_has_no_limit_and_zero_sets_none():
    keys = GatewaySettings(api_keys=KEYS, uploads_per_minute=0, _env_file=None)

    assert limits_of(GatewaySettings(_env_file=None)) == {}
    assert set(limits_of(keys)) == {"downloads"}


def gateway_of(**settings: object) -> FastAPI:
    """The gateway without its services: they would be asked for only after the check."""
    return create_app(GatewaySettings(api_keys=KEYS, allowed_hosts=("*",), _env_file=None, **settings))


async def answer_of(app: FastAPI, method: str, path: str, user: str = "") -> httpx.Response:
    headers = {"authorization": f"Bearer {KEYS[user]}"} if user else {}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate", headers=headers) as client:
        return await client.request(method, path, json={} if method == "POST" else None)


def test_two_users_cannot_have_one_key():
    with pytest.raises(ValidationError, match="one of their own") as caught:
        GatewaySettings(api_keys={"ada": "one-long-key-of-two", "ben": "one-long-key-of-two"}, _env_file=None)

    assert "one-long-key" not in str(caught.value)


@pytest.mark.parametrize("route", LIMITED)
async def test_over_http_a_limit_is_a_429_with_retry_after(route: tuple[str, str]):
    gateway = gateway_of(downloads_per_minute=1, uploads_per_minute=1)
    gateway.state.limits[LIMITED[route]].take("ada")
    refused = await answer_of(gateway, route[0], route[1].replace("{", "").replace("}", ""), "ada")

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert refused.json()["error"]["code"] == "TOO_MANY_TRANSFERS"


@pytest.mark.parametrize("what", ["sweep", "replicate", "move", "scan", "check"])
async def test_who_is_no_admin_may_not_touch_the_storage(what: str):
    refused = await answer_of(gateway_of(admins=("bob",)), "POST", f"/api/storage/{what}", "ada")

    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "ADMINS_ONLY"
    assert "GATEWAY_ADMINS" in refused.json()["detail"]


async def test_nor_see_what_all_users_keep():
    refused = await answer_of(gateway_of(), "GET", "/api/storage/stats", "ada")

    assert refused.status_code == 403


async def test_who_is_nobody_may_not_even_see_the_policies():
    refused = await answer_of(gateway_of(), "GET", "/api/storage/placements")

    assert refused.status_code == 401


class Asked:
    """A request, as far as the check looks at it."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.app = type("App", (), {"state": type("State", (), {"settings": settings})})


async def test_the_named_users_are_admins_and_so_is_the_built_in_one():
    named = Asked(GatewaySettings(api_keys=KEYS, admins=("ada",), _env_file=None))

    assert await current_admin(named, "ada") == "ada"
    assert await current_admin(Asked(GatewaySettings(_env_file=None)), "local") == "local"


def test_a_used_up_quota_is_no_reason_to_repeat():
    """507, not 429: what helps is to delete something."""
    quota = type("QuotaExceeded", (errors.LimitReached,), {"__doc__": "It is used up."})()
    answer = problems.of_problem(quota)

    assert answer.status_code == 507
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize("name", ["BackendFull", "StoreFull", "DiskFull", "ScratchFull"])
def test_a_full_disk_is_not_too_many_requests(name: str):
    """507 wherever the disk is, and worth a repeat."""
    full = type(name, (errors.Exhausted,), {"__doc__": "No space is left."})()
    answer = problems.of_problem(full)

    assert answer.status_code == 507
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("path", "shown"),
    [("/files/secret/a.csv", "/files/***"), ("/uploads/secret", "/uploads/***"), ("/api/jobs", "/api/jobs")],
)
def test_a_signed_address_is_not_logged(path: str, shown: str):
    request = type("Request", (), {"url": type("Url", (), {"path": path})})

    assert problems.shown_path(request) == shown
