"""Azure that fails: what its callers are told, how often it is asked again, and that nothing half-done is left."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from servicekit.errors import Problem
from services.storage.adapters.azure.backend import AzureBackend, azure_backend
from services.storage.domain.errors import (
    BackendBusy,
    BackendUnreachable,
    ChecksumMismatch,
    ObjectExists,
    ObjectNotFound,
)
from services.storage.domain.model import ObjectName, Span
from tests.servers.azurite import QUICK, Azurite, azurite
from tests.servers.faults import ALWAYS, Faults, Request, When, faulty
from tests.servers.objects import draft, get, keys, put

MIB = 2**20
DATA = bytes(range(251)) * 40_000  # three blocks, five ranges
HASTY = replace(QUICK, read=0.6)
ATTEMPTS = QUICK.repeats + 1
ON_A_CONNECTION = 2  # a connection that ends before the answer began is made anew, once, for each attempt


@pytest.fixture(scope="module")
def server() -> Iterator[Azurite]:
    with azurite() as server:
        yield server


@pytest.fixture
def proxy(server: Azurite) -> Iterator[Faults]:
    with faulty(server.url) as proxy:
        yield proxy


@dataclass(frozen=True)
class Fault:
    """What the way to Azure does to requests of a kind, so many times, and what that is for the domain."""

    happens: Callable[[Faults, When, int], None]
    problem: type[Problem]
    why: str


def blocks(request: Request) -> bool:
    return request.method == "PUT" and "comp=block&" in request.path


def commits(request: Request) -> bool:
    return request.method == "PUT" and "comp=blocklist" in request.path


def ranges(request: Request) -> bool:
    return request.method == "GET"


FAULTS = {
    "slow": Fault(lambda p, when, n: p.delay(1.5, n, when), BackendUnreachable, "not answer in time"),
    "cut before the answer": Fault(lambda p, when, n: p.cut_answer(0, n, when), BackendUnreachable, "cut off"),
    "too many requests": Fault(lambda p, when, n: p.answer(429, n, when=when), BackendBusy, "fewer calls"),
    "busy": Fault(lambda p, when, n: p.answer(503, n, when=when), BackendBusy, "fewer calls"),
    "failing": Fault(lambda p, when, n: p.answer(500, n, when=when), BackendUnreachable, "status 500"),
}
OF_UPLOADS = FAULTS | {
    "cut in mid-block": Fault(lambda p, when, n: p.cut_body(100_000, n, when), BackendUnreachable, "cut off"),
}
OF_DOWNLOADS = FAULTS | {
    "cut in mid-range": Fault(lambda p, when, n: p.cut_answer(300_000, n, when), BackendUnreachable, "cut off"),
}


@pytest.fixture
def fault() -> Fault | None:
    """What happens in a test that is not given one of many."""
    return None


@pytest.fixture
async def backend(server: Azurite, proxy: Faults, fault: Fault | None) -> AsyncIterator[AzureBackend]:
    patience = HASTY if fault is FAULTS["slow"] else QUICK  # else a busy machine is taken for a slow Azure
    async with azure_backend(server.account(proxy.url, patience)) as backend:
        yield backend


def named(faults: dict[str, Fault]):
    return pytest.mark.parametrize("fault", faults.values(), ids=faults.keys())


@named(OF_UPLOADS)
async def test_an_upload_that_azure_lets_down_leaves_nothing(backend, proxy, fault):
    """Each block is tried four times, and no commit is tried."""
    await put(backend, "before", b"x")
    proxy.forget()
    fault.happens(proxy, blocks, ALWAYS)
    began = time.monotonic()
    with pytest.raises(fault.problem, match=fault.why):
        await put(backend, "a", DATA)
    taken = time.monotonic() - began

    assert ATTEMPTS <= proxy.seen(blocks) <= 3 * ATTEMPTS * ON_A_CONNECTION
    assert proxy.seen(commits) == 0
    assert taken < 15
    proxy.heal()
    assert await keys(backend) == ["before"]
    with pytest.raises(ObjectNotFound):
        await backend.stat(ObjectName("models", "a"))


@named(OF_UPLOADS)
async def test_an_upload_gets_over_a_fault_that_passes(backend, proxy, fault):
    fault.happens(proxy, blocks, 2)
    stored = await put(backend, "a", DATA)

    assert await get(backend, "a") == DATA
    assert await backend.stat(stored.name) == stored


@named(OF_UPLOADS)
async def test_a_commit_gets_over_a_fault_that_passes(backend, proxy, fault):
    """A commit whose answer was lost meets its own object, and knows it."""
    fault.happens(proxy, commits, 2)
    stored = await put(backend, "a", DATA)

    assert 2 <= proxy.seen(commits) <= ATTEMPTS
    assert await backend.page("models", "", "", 10) == [stored]
    assert await get(backend, "a") == DATA


@named({name: fault for name, fault in OF_UPLOADS.items() if "answer" not in fault.why and "cut" not in name})
async def test_a_commit_that_never_gets_there_leaves_nothing(backend, proxy, fault):
    fault.happens(proxy, commits, ALWAYS)
    with pytest.raises(fault.problem):
        await put(backend, "a", DATA)

    assert proxy.seen(commits) == ATTEMPTS
    proxy.heal()
    assert await keys(backend) == []


async def test_a_commit_that_is_cut_off_leaves_nothing(backend, proxy):
    proxy.cut_body(10, ALWAYS, commits)
    with pytest.raises(BackendUnreachable, match="cut off"):
        await put(backend, "a", DATA)

    proxy.heal()
    assert await keys(backend) == []


async def test_a_commit_whose_answers_are_all_lost_is_an_object(backend, proxy):
    proxy.cut_answer(0, ALWAYS, commits)
    stored = await put(backend, "a", DATA)

    assert ATTEMPTS <= proxy.seen(commits) <= ATTEMPTS * ON_A_CONNECTION
    assert await backend.page("models", "", "", 10) == [stored]


async def test_somebody_elses_object_is_never_taken_for_our_own(backend, proxy, server):
    """Not even when it has the same bytes, and the answer to our commit was lost."""
    async with azure_backend(replace(backend._service.account, connection_string=server.connection_string)) as other:
        await put(other, draft("a", request_id="theirs"), DATA)
    proxy.cut_answer(0, 2, commits)
    with pytest.raises(ObjectExists):
        await put(backend, draft("a", request_id="ours"), DATA)

    assert (await backend.stat(ObjectName("models", "a"))).draft.request_id == "theirs"


async def test_whose_blocks_were_swept_away_is_told_that_the_key_is_taken(backend):
    """A commit takes all other blocks of its key with it."""
    async with backend.create(draft("a", request_id="slow")) as slow:
        await slow.write([bytes(5 * MIB)])
        await slow._line.settle()
        first = await put(backend, draft("a", request_id="quick"), b"quick")
        with pytest.raises(ObjectExists):
            await slow.commit(5 * MIB, "0" * 64)
    assert await backend.stat(first.name) == first

    async with backend.create(draft("b", request_id="slow")) as slow:
        await slow.write([bytes(5 * MIB)])
        await slow._line.settle()
        quick = await put(backend, draft("b", request_id="quick"), b"quick")
        await backend.delete(quick.name)
        with pytest.raises(BackendUnreachable, match="another upload of the same key"):
            await slow.commit(5 * MIB, "0" * 64)
    assert await keys(backend) == ["a"]


@named(OF_DOWNLOADS)
async def test_a_download_that_azure_lets_down_ends_in_an_error_and_never_short(backend, proxy, fault):
    await put(backend, "a", DATA)
    async with backend.open(ObjectName("models", "a")) as source:
        proxy.forget()
        fault.happens(proxy, ranges, ALWAYS)
        began = time.monotonic()
        with pytest.raises(fault.problem, match=fault.why):
            async for _ in source.batches(Span(0, len(DATA))):
                pass

    assert ATTEMPTS - 1 <= proxy.seen(ranges) <= 5 * ATTEMPTS * ON_A_CONNECTION
    assert time.monotonic() - began < 20


@named(OF_DOWNLOADS)
async def test_a_download_gets_over_a_fault_that_passes(backend, proxy, fault):
    await put(backend, "a", DATA)
    fault.happens(proxy, ranges, 2)

    assert await get(backend, "a") == DATA


async def test_azure_that_is_away_is_told_of_at_once_and_nothing_is_left(backend, proxy):
    """002.16: no other place is tried here. 002.14: the error is clear."""
    stored = await put(backend, "a")
    proxy.refuse()
    began = time.monotonic()
    for attempt in (
        put(backend, "b"),
        get(backend, "a"),
        backend.stat(stored.name),
        backend.page("models", "", "", 10),
        backend.delete(stored.name),
        backend.probe(),
        backend.direct.ticket(draft("c"), stored.create_time),
    ):
        with pytest.raises(BackendUnreachable, match="it takes no connection"):
            await attempt

    assert time.monotonic() - began < 15
    proxy.heal()
    assert await keys(backend) == ["a"]


async def test_an_account_that_does_not_exist_is_told_of(server):
    """003.11"""
    account = replace(server.account(), connection_string=server.through("http://no-such-account.invalid"))
    async with azure_backend(account) as backend:
        with pytest.raises(BackendUnreachable, match="has no address"):
            await backend.probe()


async def test_azure_is_given_the_time_it_asks_for(backend, proxy):
    await put(backend, "before")
    proxy.answer(503, 1, {"Retry-After": "1"}, when=blocks)
    began = time.monotonic()
    await put(backend, "a")

    assert time.monotonic() - began >= 1


async def test_a_block_that_was_changed_on_its_way_is_noticed(backend, proxy):
    """Azure compares its MD5."""
    await put(backend, "before")
    proxy.change_body(blocks)
    with pytest.raises(ChecksumMismatch):
        await put(backend, "a", DATA)

    proxy.heal()
    assert await keys(backend) == ["before"]


async def test_a_call_ends_though_azure_takes_bytes_for_ever(server, proxy):
    """A server that reads nothing cannot be told by waiting for its answer: the call as a whole has an end."""
    async with azure_backend(server.account(proxy.url, replace(QUICK, call=0.5))) as backend:
        proxy.delay(30)
        with pytest.raises(BackendUnreachable, match="not answer in time"):
            await backend.stat(ObjectName("models", "a"))
