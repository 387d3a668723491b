"""What the metadata service makes of its database.

Every store gets the same work: metrics by the stub and by the shortest way into the database, in turns; then the calls
of 16 clients, each on a connection of its own, beside calls of a server that does nothing; then lists of many runs.
"""

import asyncio
import contextlib
import random
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import grpc
import uvloop

from bench import bulk
from modelyard.common.v1 import metric_pb2
from modelyard.metadata.v1 import admin_pb2, admin_pb2_grpc, job_pb2, job_pb2_grpc, run_pb2, run_pb2_grpc
from services.metadata import converters
from services.metadata.adapters.memory import MemoryStore
from services.metadata.domain.entities import Metric, Run
from services.metadata.domain.exporting import Exports, Wish
from services.metadata.domain.records import new_record
from tests.e2e.house import ROOT, House, free_port

CLIENTS = 16
SECONDS = 4.0
BATCH, BATCHES, ROUNDS = 1_000, 100, 3
RUNS, PAGES = 100_000, 20
USER, MANY = "bench", "many"
Call = Callable[[], Awaitable[object]]
Stub = run_pb2_grpc.RunServiceStub


def measure(_: House, folder: Path) -> str:
    """Measure every store, one after the other."""
    lines = []
    for name, database in bulk.DATABASES.items():
        with database(folder) as floor, _served(floor.url) as address:
            lines += [f"{name:11}{line}" for line in uvloop.run(_measured(address, floor))]
    return "\n".join(lines)


@contextlib.contextmanager
def _served(url: str) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    told = {"METADATA_URL": url, "METADATA_BIND": address, "MODELYARD_LOG_LEVEL": "warning"}
    with _running([sys.executable, "-m", "services.metadata"], told):
        yield address


@contextlib.contextmanager
def _running(command: Sequence[str], environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


async def _measured(address: str, floor: bulk.Floor) -> list[str]:
    async with _channels(address) as channels:
        stubs = [Stub(channel) for channel in channels]
        await stubs[0].ListRuns(run_pb2.ListRunsRequest(), wait_for_ready=True, timeout=60)
        await _fill(channels[0])
        return [*await _lists(stubs[0]), *await _ingestion(stubs[0], floor), *await _calls(stubs)]


@contextlib.asynccontextmanager
async def _channels(address: str) -> AsyncIterator[list[grpc.aio.Channel]]:
    apart = [("grpc.use_local_subchannel_pool", 1)]  # else they share one connection
    async with contextlib.AsyncExitStack() as stack:
        opened = [grpc.aio.insecure_channel(address, options=apart) for _ in range(CLIENTS)]
        yield [await stack.enter_async_context(channel) for channel in opened]


async def _ingestion(stub: Stub, floor: bulk.Floor) -> list[str]:
    """Rows a second, the best of some rounds of each."""
    ways: dict[str, Callable[[str], Awaitable[object]]] = {
        floor.way: lambda run_id: asyncio.to_thread(floor.write, run_id, BATCH, BATCHES),
        "LogMetrics": lambda run_id: stub.LogMetrics(_batches(run_id), timeout=120),
        "BatchLogMetrics": lambda run_id: _one_after_another(stub, run_id),
    }
    best = dict.fromkeys(ways, 0.0)
    for _ in range(ROUNDS):
        for way, write in ways.items():
            run_id = (await _create(stub)).id
            begun = time.perf_counter()
            await write(run_id)
            best[way] = max(best[way], BATCH * BATCHES / (time.perf_counter() - begun))
    return [f"{way:17}{rate:9,.0f} rows/s, {rate / best[floor.way]:.2f} of the floor" for way, rate in best.items()]


async def _batches(run_id: str) -> AsyncIterator[run_pb2.LogMetricsRequest]:
    for first in range(0, BATCH * BATCHES, BATCH):
        steps = range(first, first + BATCH)
        metrics = [metric_pb2.Metric(name="loss", split="train", step=step, value=1 / (step + 1)) for step in steps]
        yield run_pb2.LogMetricsRequest(run_id=run_id, metrics=metrics)


async def _one_after_another(stub: Stub, run_id: str) -> None:
    async for request in _batches(run_id):
        await stub.BatchLogMetrics(request, timeout=30)


async def _create(stub: Stub) -> run_pb2.Run:
    run = run_pb2.Run(user_id=USER, name="run", engine="quick")
    run.hyperparameters.update({"learning_rate": 0.01, "max_depth": 6, "booster": "gbtree"})
    created: run_pb2.Run = await stub.CreateRun(
        run_pb2.CreateRunRequest(run=run, request_id=uuid.uuid4().hex), timeout=30
    )
    return created


async def _calls(stubs: Sequence[Stub]) -> list[str]:
    ids = [(await _create(stub)).id for stub in stubs]
    get = [
        partial(stub.GetRun, run_pb2.GetRunRequest(id=id_), timeout=30) for stub, id_ in zip(stubs, ids, strict=True)
    ]
    return [
        f"a bare call      {await _bare()}",
        f"GetRun           {await _under_load(get)}",
        f"CreateRun        {await _under_load([partial(_create, stub) for stub in stubs])}",
    ]


async def _bare() -> str:
    """What a call costs that finds its answer ready: the client and the library."""
    port = free_port()
    with _running([sys.executable, "-m", "bench.floor", "service", "0", str(port)], {}):
        async with _channels(f"127.0.0.1:{port}") as channels:
            stubs = [job_pb2_grpc.JobServiceStub(channel) for channel in channels]
            await stubs[0].GetJob(job_pb2.GetJobRequest(id="job"), wait_for_ready=True, timeout=60)
            return await _under_load(
                [partial(each.GetJob, job_pb2.GetJobRequest(id="job"), timeout=30) for each in stubs]
            )


async def _under_load(calls: Sequence[Call]) -> str:
    """Each client one call after the other, all of them at once."""
    taken: list[float] = []
    until = time.perf_counter() + SECONDS

    async def client(call: Call) -> None:
        while (begun := time.perf_counter()) < until:
            await call()
            taken.append(time.perf_counter() - begun)

    await asyncio.gather(*map(client, calls))
    p50, p99 = (statistics.quantiles(taken, n=100)[at] * 1000 for at in (49, 98))
    return f"{len(taken) / SECONDS:9,.0f} calls/s of {len(calls)} clients, p50 {p50:.2f} ms, p99 {p99:.2f} ms"


async def _lists(stub: Stub) -> list[str]:
    """Pages of many runs by a metric: the first one, and those that follow."""
    token, taken = "", []
    for _ in range(PAGES):
        request = run_pb2.ListRunsRequest(user_id=MANY, order_by="metrics.accuracy desc", page_token=token)
        begun = time.perf_counter()
        page = await stub.ListRuns(request, timeout=60)
        taken.append((time.perf_counter() - begun) * 1000)
        token = page.next_page_token
    median, worst = statistics.median(taken), max(taken)
    pages = f"first {taken[0]:.1f} ms, median {median:.1f} ms, worst {worst:.1f} ms"
    return [f"ListRuns         a page of 50 of {RUNS:,} runs by a metric: {pages}"]


async def _fill(channel: grpc.aio.Channel) -> None:
    """Many runs, each with a metric, as an import brings them."""
    now = datetime.now(UTC)
    store = MemoryStore()
    runs = [new_record(Run(id=f"many-{n:06}", user_id=MANY, name=f"run {n}"), f"many-{n}", now) for n in range(RUNS)]
    accuracies = random.Random(0)
    metrics = [Metric(run.id, "accuracy", "test", 0, accuracies.random(), now) for run in runs]
    # Put there directly: it looks through all of its records at every insert.
    store._tables["runs"] = {(run.id,): run for run in runs}
    store._tables["metrics"] = {(each.run_id, each.name, each.split, each.step): each for each in metrics}

    async def parts() -> AsyncIterator[admin_pb2.ImportRecordsRequest]:
        async for batch in Exports(store).batches(Wish()):
            yield admin_pb2.ImportRecordsRequest(import_id="bench", batch=converters.batch_of(batch))

    await admin_pb2_grpc.AdminServiceStub(channel).ImportRecords(parts(), timeout=600)
