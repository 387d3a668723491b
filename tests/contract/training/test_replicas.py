"""Two training services behind one address, over the wire: whichever a call reaches, it finds the training."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest

from servicekit import statuses
from servicekit.channels import Channel
from services.training.settings import TrainingSettings
from tests.contract.training.conftest import Client, first_pids, train_request
from tests.contract.training.test_failures import failure, gone
from tests.servers.programs import free_port

SECONDS = 90.0


@pytest.fixture
async def replicas(start, tmp_path: Path) -> AsyncIterator[tuple[Client, Client]]:
    """Two services that know of each other, each with one place to train."""
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    async with AsyncExitStack() as stack:
        starting = [
            start(bind=address, peers=addresses, max_workers=1, scratch_dir=tmp_path / address, service_token="s3cret")
            for address in addresses
        ]
        first, second = [await stack.enter_async_context(one) for one in starting]
        yield first, second


async def test_a_training_is_joined_read_and_released_through_the_other(replicas, table):
    first, second = replicas
    call = first.train(train_request(table, pause=0.5))
    await anext(aiter(call))
    joined = await second.trained(train_request(table, pause=0.5))
    again = await second.trained(train_request(table, pause=0.5))
    artifact = b"".join(await second.artifact("t1"))
    released = await second.release("t1")
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await second.artifact("t1")

    assert joined[0].progress.stage
    assert again[-1].result == joined[-1].result
    assert len(artifact) == joined[-1].result.artifact_size
    assert released.size > len(artifact)
    assert ended.value.code() is grpc.StatusCode.NOT_FOUND
    assert statuses.reason_of(ended.value) == "ARTIFACT_NOT_FOUND"
    assert first.left_behind() == second.left_behind() == []


async def test_a_cancel_reaches_it_wherever_it_runs_and_holds_everywhere(replicas, table):
    first, second = replicas
    call = first.train(train_request(table, workload="lingers"))
    pids = await first_pids(call)
    answer = await second.cancel("t1")
    errors = [await failure(one, train_request(table, workload="lingers")) for one in replicas]

    assert answer.stopped
    assert await gone(pids)
    assert [error.code() for error in errors] == [grpc.StatusCode.CANCELLED] * 2
    assert first.left_behind() == second.left_behind() == []


async def test_what_a_workload_refuses_comes_through_the_other_as_it_was_said(replicas, table):
    first, second = replicas
    await first_pids(first.train(train_request(table, "busy", "lingers")))
    refused = asyncio.create_task(failure(first, train_request(table, "t1", "refuses")))
    while (await anext(aiter(first.train(train_request(table, "t1", "refuses"))))).progress.stage != "queued":
        await asyncio.sleep(0.02)
    through = asyncio.create_task(failure(second, train_request(table, "t1", "refuses")))
    await asyncio.sleep(0.3)
    await first.cancel("busy")
    errors = [await refused, await through]

    assert [statuses.reason_of(error) for error in errors] == ["ONE_CLASS"] * 2
    assert [statuses.field_of(error) for error in errors] == ["target"] * 2


async def test_a_hostile_training_id_is_refused(replicas, table):
    error = await failure(replicas[0], train_request(table, training_id="a/b"))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_one_address_for_both_gives_both_something_to_do(replicas, table):
    """The gateway's channel: load spread over all addresses, and every call finds its training."""
    both = ",".join(one.channel.address for one in replicas)
    shared = Client(Channel(f"ipv4:///{both}", "s3cret"), replicas[0].scratch)
    early: list[str] = []
    async with asyncio.timeout(SECONDS):
        while not all(one.left_behind() for one in replicas):  # until both connections are there
            early.append(f"early{len(early)}")
            await shared.trained(train_request(table, early[-1]))
    for name in early:
        await shared.release(name)
    names = [f"t{number}" for number in range(6)]
    calls = [asyncio.create_task(shared.trained(train_request(table, name))) for name in names]
    events = await asyncio.gather(*calls)
    kept = [one.left_behind() for one in replicas]
    sizes = [len(b"".join(await shared.artifact(name))) for name in names]
    for name in names:
        await shared.release(name)
    await shared.channel.close()

    assert all(kept)
    assert sorted(sum(kept, [])) == [f"model_{name}" for name in names]
    assert sizes == [one[-1].result.artifact_size for one in events]
    assert [one.left_behind() for one in replicas] == [[], []]


async def test_a_replica_that_is_away_keeps_nobody_from_training(start, table):
    async with start(peers=[f"127.0.0.1:{free_port()}", "no-such-host.invalid:50053"]) as client:
        events = await client.trained(train_request(table))
        cancelled = await client.cancel("t1")

    assert events[-1].HasField("result")
    assert not cancelled.stopped


@pytest.mark.parametrize(
    ("given", "found"),
    [("", []), ("training:50053", ["training:50053"]), ('["a:1", "b:2"]', ["a:1", "b:2"])],
)
def test_peers_are_one_name_or_a_list(monkeypatch, given, found):
    monkeypatch.setenv("TRAINING_PEERS", given)

    assert TrainingSettings(_env_file=None).replicas == found
