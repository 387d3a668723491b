"""TrainingService and AnalysisService over the wire: the statuses that the contract names, for what it names them."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from modelyard.training.v1 import analysis_pb2, training_pb2
from servicekit import statuses
from tests.contract.training.conftest import Client, first_pids, train_request

Ask = Callable[[Client, training_pb2.DatasetSource], Awaitable[Any]]


async def refused(asked: Awaitable[Any]) -> tuple[str, str]:
    """Status and reason with which a call fails."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asked
    return caught.value.code().name, statuses.reason_of(caught.value)


async def check(client: Client, source: training_pb2.DatasetSource) -> Any:
    return await client.training.CheckTraining(train_request(source), **client.channel.within(60))


async def inspect(client: Client, source: training_pb2.DatasetSource) -> Any:
    request = analysis_pb2.InspectDatasetRequest(dataset=source)
    return await client.analysis.InspectDataset(request, **client.channel.within(60))


async def test_a_name_is_taken_by_what_trains_and_by_what_has_trained(client: Client, table):
    """M.3: a repeat joins what it began itself, and never the training of another request."""
    await first_pids(client.train(train_request(table, "t1", "lingers")))
    await client.trained(train_request(table, "t2"))
    running = await refused(client.trained(train_request(table, "t1")))
    finished = await refused(client.trained(train_request(table, "t2", pause=0.01)))
    stopped = (await client.cancel("t1")).stopped

    assert running == finished == ("ALREADY_EXISTS", "TRAINING_EXISTS")
    assert stopped


@pytest.mark.parametrize("name", ["", "../t1", "t" * 101])
async def test_what_cannot_be_a_name_is_refused_by_every_call_that_takes_one(client: Client, table, name: str):
    calls = [
        client.trained(train_request(table, name)),
        client.training.CheckTraining(train_request(table, name), **client.channel.within(60)),
        client.cancel(name),
        client.artifact(name),
        client.release(name),
    ]

    assert [await refused(call) for call in calls] == [("INVALID_ARGUMENT", "BAD_TRAINING_ID")] * len(calls)


@pytest.mark.parametrize("ask", [check, inspect])
@pytest.mark.parametrize(
    ("key", "sha256", "told"),
    [
        ("nowhere", "", ("NOT_FOUND", "DATASET_NOT_FOUND")),
        ("changed", hashlib.sha256(b"as it was").hexdigest(), ("DATA_LOSS", "DATASET_CHANGED")),
        ("away", "", ("UNAVAILABLE", "DATASET_UNREADABLE")),
    ],
)
async def test_a_dataset_that_cannot_be_had_is_told_alike(client: Client, storage, ask: Ask, key, sha256, told):
    """002.8: to who looks into it, and to who asks what a training of it would do."""
    storage[0].put("changed", b"a,b\n1,2\n")
    source = training_pb2.DatasetSource(dataset_id="d1", placement="datasets", key=key, sha256=sha256)

    assert await refused(ask(client, source)) == told
