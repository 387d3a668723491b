"""Real processes: many that share a file, and one that is killed."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from modelyard.metadata.v1.job_pb2 import CreateJobRequest, Job, ListJobsRequest, WatchJobRequest
from modelyard.metadata.v1.job_pb2_grpc import JobServiceStub
from servicekit.channels import Channel
from services.metadata.adapters.sqlite import sqlite_store
from services.metadata.domain.entities import Job as JobRecord
from services.metadata.domain.entities import JobStatus, Metric, Run
from services.metadata.domain.ports import Query

from .hammer import ROUNDS, twice

PROCESSES = 16


async def _hammer(url: str, name: str) -> dict[str, object]:
    script = Path(__file__).with_name("hammer.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), url, name, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complained = await process.communicate()
    assert process.returncode == 0, complained.decode()
    return json.loads(said)


async def test_sixteen_processes_share_one_file_and_nothing_is_lost(tmp_path: Path):
    """All begin at once on a file that is not there yet: each may find the tables missing, none finds it locked."""
    url = f"sqlite+aiosqlite:///{tmp_path}/new/metadata.db"
    said = await asyncio.gather(*(_hammer(url, f"w{number}") for number in range(PROCESSES)))
    done = [job_id for each in said for job_id in each["done"]]
    async with sqlite_store(url) as store:
        jobs = await store.find(JobRecord, Query(limit=1000))
        runs = await store.find(Run, Query(limit=1000))
        metrics = [await store.find(Metric, Query({"run_id": each["run"]}, limit=1000)) for each in said]

    assert len(jobs) == PROCESSES * ROUNDS
    assert twice(done) == []
    assert {job.id for job in jobs if job.status is JobStatus.COMPLETED} == set(done)
    assert len(runs) == PROCESSES + 1
    assert len({each["shared"] for each in said}) == 1
    assert [len(each) for each in metrics] == [50 * ROUNDS] * PROCESSES


@asynccontextmanager
async def _service(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, Channel]]:
    """`python -m services.metadata`, as it runs for everybody."""
    address = f"unix:{folder}/socket"
    environment = {**os.environ, "METADATA_BIND": address, "MODELYARD_DATA_DIR": str(folder)}
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
    async with asyncio.timeout(20):
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
                acknowledged.append((await jobs.CreateJob(request, **channel.within(5))).id)

        writing = [asyncio.create_task(write(worker)) for worker in range(8)]
        while len(acknowledged) < 100:
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        await asyncio.gather(*writing, return_exceptions=True)
    async with _service(tmp_path) as (_, channel):
        found = await JobServiceStub(channel.grpc).ListJobs(ListJobsRequest(page_size=1000), **channel.within(5))

    assert len(acknowledged) >= 100
    assert set(acknowledged) <= {job.id for job in found.jobs}


async def test_service_ends_in_good_order_though_jobs_are_watched(tmp_path: Path):
    async with _service(tmp_path) as (process, channel):
        jobs = JobServiceStub(channel.grpc)
        request = CreateJobRequest(job=Job(user_id="ada", kind="train"), request_id="one")
        job = await jobs.CreateJob(request, **channel.within(5))
        watching = jobs.WatchJob(WatchJobRequest(id=job.id), **channel.within(60))
        await watching.read()
        process.terminate()
        async with asyncio.timeout(5):  # the drain alone would take 10 seconds
            await process.wait()

    assert process.returncode == 0
    assert not (tmp_path / "metadata.db-wal").exists()
