"""Trainings on a real Ray cluster, over the wire: the same workloads, the same worker, another machine."""

import os
import signal
import time
from collections.abc import Iterator

import grpc
import psutil
import pytest

from servicekit import statuses
from tests.contract.training.conftest import first_pids, train_request
from tests.contract.training.test_failures import failure, gone
from tests.contract.training.test_limits import ended, past_its_time
from tests.servers.programs import free_port
from tests.servers.ray import Cluster, Node, ray_cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with ray_cluster() as running:
        yield running


@pytest.fixture
def away(start, cluster):
    """Starts a training service that trains on the cluster."""

    def starting(**given):
        return start(**{"ray_address": cluster.address, "ray_token": cluster.token, **given})

    return starting


def left_on(node: Node) -> list[str]:
    return sorted(path.name for path in node.scratch.glob("model_training_*"))


async def cleaned(node: Node, seconds: float = 30.0) -> bool:
    """Whether no training's folder is on a node, after so many seconds at the latest."""
    deadline = time.monotonic() + seconds
    while left_on(node):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


async def test_a_training_goes_to_the_cluster_and_its_artifact_comes_home(away, cluster, storage):
    """The dataset goes out and the artifact comes back in more pieces than one, and nothing of it stays there."""
    content = b"a,b\n" + b"1,2\n" * 3_000_000
    async with away() as client:
        request = train_request(storage[0].put("u1/d1/large.csv", content), workload="copies")
        events = await client.trained(request)
        result = events[-1].result
        artifact = b"".join(await client.artifact("t1"))
        stages = [event.progress.stage for event in events if event.HasField("progress")]
        fractions = [event.progress.fraction for event in events if event.HasField("progress")]
        metrics = [event.metric.name for event in events if event.HasField("metric")]
        joined = await client.trained(request)

        assert len(artifact) == result.artifact_size == len(content) + 700_000
        assert artifact.startswith(content)
        assert {"preparing", "training", "evaluating"} <= set(stages)
        assert fractions == sorted(fractions)
        assert metrics == ["accuracy"]
        assert joined[-1].result == result
        assert left_on(cluster.head) == []
        assert client.left_behind() == ["model_t1"]


async def test_the_environment_there_is_the_workers_own(away, cluster, table):
    """Neither the cluster's token nor what the node's owner has in the environment is told to a workload.

    The service is on a machine that is a node of the cluster, and says so by the form of the address.
    """
    async with away(ray_address=f"{cluster.host}:{cluster.port}") as client:
        events = await client.trained(train_request(table, workload="tells"))
        told = next(event.progress.message for event in events if "PATH=" in event.progress.message)

    assert cluster.token not in told
    assert f"TMPDIR={cluster.head.scratch}/model_training_" in told


async def test_cancel_ends_the_processes_there_and_removes_their_folder(away, cluster, table):
    """Within two seconds, all of it; a machine that does something else may hold it up, but not three times."""
    took = []
    async with away() as client:
        for name in ("t1", "t2", "t3"):
            call = client.train(train_request(table, name, "lingers"))
            pids = await first_pids(call)
            before = left_on(cluster.head)
            began = time.monotonic()
            answer = await client.cancel(name)
            both = await gone(pids), await cleaned(cluster.head)
            took.append(time.monotonic() - began)
            error = await ended(call)

            assert len(before) == 1
            assert answer.stopped
            assert both == (True, True)
            assert error.code() is grpc.StatusCode.CANCELLED
            assert client.left_behind() == []
            if took[-1] < 2:
                break

    assert min(took) < 2


async def test_a_worker_that_is_killed_there_is_the_same_error_as_here(away, cluster, table):
    async with away() as client:
        call = client.train(train_request(table, workload="lingers"))
        pids = await first_pids(call)
        os.kill(pids[0], signal.SIGKILL)
        error = await ended(call)

        assert error.code() is grpc.StatusCode.ABORTED
        assert statuses.reason_of(error) == "WORKER_DIED"
        assert "signal 9 (SIGKILL)" in error.details()
        assert await gone(pids)
        assert await cleaned(cluster.head)
        assert client.left_behind() == []


async def test_a_room_that_is_killed_there_is_cleaned_up_after(away, cluster, table):
    """Ray kills a process without a word to those that it had started; one of ours sees to them."""
    async with away() as client:
        call = client.train(train_request(table, workload="escapes"))
        pids = await first_pids(call)
        os.kill(psutil.Process(pids[0]).ppid(), signal.SIGKILL)
        error = await ended(call)

        assert error.code() is grpc.StatusCode.ABORTED
        assert statuses.reason_of(error) == "WORKER_DIED"
        assert await gone(pids)
        assert await cleaned(cluster.head)
        assert client.left_behind() == []


async def test_a_node_that_is_lost_is_a_clear_error_and_the_service_goes_on(away, cluster, table):
    """ABORTED: a repeat may help, and does as soon as a node has what is asked for."""
    async with away() as client:
        with cluster.node(num_cpus=1, num_gpus=1) as node:
            call = client.train(train_request(table, workload="lingers", gpus=1))
            pids = await first_pids(call)
            node.kill()
            error = await ended(call)
        after = await client.trained(train_request(table, "t2"))

        assert error.code() is grpc.StatusCode.ABORTED
        assert statuses.reason_of(error) == "WORKER_DIED"
        assert "node" in error.details()
        assert await gone(pids)
        assert await cleaned(node)
        assert after[-1].HasField("result")
        assert client.left_behind() == ["model_t2"]


async def test_what_a_workload_refuses_and_what_breaks_arrive_as_they_would_from_here(away, cluster, table):
    async with away() as client:
        refused = await failure(client, train_request(table, "t1", "refuses"))
        broken = await failure(client, train_request(table, "t2", "breaks"))

        assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert statuses.reason_of(refused) == "ONE_CLASS"
        assert statuses.field_of(refused) == "target"
        assert broken.code() is grpc.StatusCode.INTERNAL
        assert "secret" not in broken.details()
        assert await cleaned(cluster.head)
        assert client.left_behind() == []


async def test_the_limits_hold_there_too(away, cluster, table):
    _, pids, error, _ = await past_its_time(away, table, 5, 30)

    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert statuses.reason_of(error) == "TIME_LIMIT"
    assert await gone(pids)
    assert await cleaned(cluster.head)


async def test_what_no_node_has_is_waited_for_and_then_refused(away, table):
    """RESOURCE_EXHAUSTED with a hint: the queue of the cluster is as the queue of the service."""
    async with away(ray_wait_seconds=3) as client:
        call = client.train(train_request(table, cpus=64, gpus=2))
        messages = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for event in call:
                messages.append(event.progress.message)

        assert "Waiting for room in the cluster: asks for 64 processors and 2 GPUs." in messages
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert statuses.reason_of(caught.value) == "CLUSTER_FULL"
        assert statuses.is_transient(caught.value)
        assert client.left_behind() == []


async def test_a_cluster_that_does_not_answer_is_unavailable_and_the_rest_goes_on(away, table):
    """Checks and inspections are done on the service's own machine."""
    async with away(ray_address=f"127.0.0.1:{free_port()}") as client:
        error = await failure(client, train_request(table))
        plan = await client.training.CheckTraining(train_request(table), **client.channel.within(120))

        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert statuses.reason_of(error) == "CLUSTER_AWAY"
        assert plan.row_count == 4
        assert client.left_behind() == []
