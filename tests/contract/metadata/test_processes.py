"""Real processes: many that share a database, and one that is killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from modelyard.metadata.v1.job_pb2 import CreateJobRequest, Job, ListJobsRequest, WatchJobRequest
from modelyard.metadata.v1.job_pb2_grpc import JobServiceStub
from servicekit.channels import Channel
from services.metadata.domain.entities import Artifact, JobStatus, Metric, Model, Run
from services.metadata.domain.entities import Job as JobRecord
from services.metadata.domain.ports import Query

from .hammer import ROUNDS, STEPS
from .stores import opened

PROCESSES = 16


@pytest.fixture(scope="module")
def hammers() -> Iterator[list["subprocess.Popen[str]"]]:
    """Processes that are started once: that takes longer than what they do."""
    script = Path(__file__).with_name("hammer.py")
    with ExitStack() as stack:
        yield [stack.enter_context(_hammer(script, f"w{number}")) for number in range(PROCESSES)]


@contextmanager
def _hammer(script: Path, name: str) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, str(script), name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _all_hammer(hammers: "list[subprocess.Popen[str]]", url: str) -> list[dict[str, Any]]:
    for process in hammers:
        process.stdin.write(f"{url}\n")
        process.stdin.flush()
    return [json.loads(process.stdout.readline()) for process in hammers]


async def test_sixteen_processes_share_one_database_and_nothing_is_lost(
    hammers: "list[subprocess.Popen[str]]", new_database: str
):
    """All begin at once on a database without tables: one makes them. Whoever is in another's way never hears of it."""
    said = await asyncio.to_thread(_all_hammer, hammers, new_database)
    done = [job_id for each in said for job_id in each["done"]]
    async with opened(new_database) as store:
        jobs = await store.find(JobRecord, Query(limit=1000))
        runs = await store.find(Run, Query(limit=1000))
        metrics = [await store.find(Metric, Query({"run_id": each["run"]}, limit=1000)) for each in said]
        together = await store.find(Metric, Query({"run_id": said[0]["shared"]}, limit=10_000))
        artifact = await store.get(Artifact, said[0]["artifact"])
        model = await store.find(Model, Query({"name": "shared"}))

    assert len(jobs) == PROCESSES * ROUNDS
    assert len(set(done)) == len(done)
    assert {job.id for job in jobs if job.status is JobStatus.COMPLETED} == set(done)
    assert len(runs) == PROCESSES + 1
    assert len({each["shared"] for each in said}) == 1
    assert [len(each) for each in metrics] == [STEPS * ROUNDS] * PROCESSES
    assert len(together) == STEPS * ROUNDS * PROCESSES
    assert artifact.download_count == ROUNDS * PROCESSES
    assert sorted(each["version"] for each in said) == list(range(1, PROCESSES + 1))
    assert model[0].latest_version == PROCESSES


@asynccontextmanager
async def _service(folder: Path, **settings: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, Channel]]:
    """`python -m services.metadata`, as it runs for everybody."""
    address = f"unix:{folder}/socket"
    environment = {**os.environ, "METADATA_BIND": address, "MODELYARD_DATA_DIR": str(folder), **settings}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.metadata", env=environment)
    channel = Channel(address)
    try:
        await _serving(channel)
        yield process, channel
    finally:
        await channel.close()
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _serving(channel: Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel.grpc)
    request = health_pb2.HealthCheckRequest(service="modelyard.metadata.v1.JobService")
    async with asyncio.timeout(60):
        while True:
            with suppress(grpc.aio.AioRpcError):
                answer = await health.Check(request, timeout=2, wait_for_ready=True)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            await asyncio.sleep(0.05)


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path):
    acknowledged: list[str] = []
    async with _service(tmp_path) as (process, channel):
        jobs = JobServiceStub(channel.grpc)

        async def write(worker: int) -> None:
            for number in range(1000):
                given = Job(user_id="ada", kind="train", input={"number": number})
                request = CreateJobRequest(job=given, request_id=f"{worker}-{number}")
                acknowledged.append((await jobs.CreateJob(request, **channel.within(60))).id)

        writing = [asyncio.create_task(write(worker)) for worker in range(8)]
        while len(acknowledged) < 100 and not all(task.done() for task in writing):
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        await asyncio.gather(*writing, return_exceptions=True)
    async with _service(tmp_path) as (_, channel):
        found = await JobServiceStub(channel.grpc).ListJobs(ListJobsRequest(page_size=1000), **channel.within(60))

    assert len(acknowledged) >= 100
    assert set(acknowledged) <= {job.id for job in found.jobs}


async def test_service_ends_in_good_order_though_jobs_are_watched(tmp_path: Path):
    async with _service(tmp_path, METADATA_DRAIN_SECONDS="60") as (process, channel):
        jobs = JobServiceStub(channel.grpc)
        request = CreateJobRequest(job=Job(user_id="ada", kind="train"), request_id="one")
        job = await jobs.CreateJob(request, **channel.within(60))
        watching = jobs.WatchJob(WatchJobRequest(id=job.id), **channel.within(60))
        await watching.read()
        process.terminate()
        async with asyncio.timeout(30):  # the drain alone would take 60 seconds
            await process.wait()

    assert process.returncode == 0
    assert not (tmp_path / "metadata.db-wal").exists()
