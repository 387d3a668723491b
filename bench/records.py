"""What the metadata service does of its work, beside what its database can do at most.

Every store gets the same: metrics by the stub and by the shortest way into the database, in turns; then calls of 16
clients, each on a connection of its own; then lists of many runs.
"""

import asyncio
import contextlib
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import grpc
import uvloop

from bench import bulk
from modelyard.common.v1 import metric_pb2
from modelyard.metadata.v1 import run_pb2, run_pb2_grpc
from tests.e2e.house import ROOT, free_port

CLIENTS = 16
SECONDS = 4.0
BATCH = 1_000
BATCHES = 100
ROUNDS = 3
MANY_RUNS = 100_000
PAGES = 20
USER = "bench"


def measure(folder: Path) -> str:
    """Measure every store, one after the other."""
    lines = []
    for name, database in bulk.DATABASES.items():
        with database(folder / name) as floor, _served(floor.url) as address:
            lines += [f"{name}: {line}" for line in uvloop.run(_measured(address, floor, name))]
    return "\n".join(lines)


@contextlib.contextmanager
def _served(url: str) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    environment = {"METADATA_URL": url, "METADATA_BIND": address, "MODELYARD_LOG_LEVEL": "warning", "PATH": ""}
    process = subprocess.Popen([sys.executable, "-m", "services.metadata"], cwd=ROOT, env=environment)
    try:
        yield address
    finally:
        process.terminate()
        process.wait(30)


async def _measured(address: str, floor: bulk.Floor, name: str) -> list[str]:
    async with _stubs(address, CLIENTS) as stubs:
        await stubs[0].ListRuns(run_pb2.ListRunsRequest(), wait_for_ready=True, timeout=60)
        lines = await _ingestion(stubs[0], floor)
        lines += await _calls(stubs)
        return lines + await _lists(stubs)


@contextlib.asynccontextmanager
async def _stubs(address: str, count: int) -> AsyncIterator[Sequence["run_pb2_grpc.RunServiceAsyncStub"]]:
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with contextlib.AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(address, options=options)) for _ in range(count)
        ]
        yield [run_pb2_grpc.RunServiceStub(channel) for channel in channels]


async def _ingestion(stub: "run_pb2_grpc.RunServiceAsyncStub", floor: bulk.Floor) -> list[str]:
    """Rows a second, the best of some rounds of each."""
    ways: dict[str, Callable[[str], Awaitable[object]]] = {
        "floor": lambda run_id: asyncio.to_thread(floor.write, run_id, BATCH, BATCHES),
        "stream": lambda run_id: stub.LogMetrics(_batches(run_id), timeout=120),
        "batches": lambda run_id: _batch_by_batch(stub, run_id),
    }
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, write in ways.items():
            run_id = (await _new_run(stub)).id
            begun = time.perf_counter()
            await write(run_id)
            taken[way].append(BATCH * BATCHES / (time.perf_counter() - begun))
    best = {way: max(rates) for way, rates in taken.items()}
    floor_line = f"metrics, {floor.way} by {BATCH:,}: {best['floor']:9,.0f} rows/s"
    return [floor_line] + [
        f"metrics, {way} through the stub: {best[way]:9,.0f} rows/s, {best[way] / best['floor']:.2f} of that"
        for way in ("stream", "batches")
    ]


def _metrics(first: int) -> list[metric_pb2.Metric]:
    return [
        metric_pb2.Metric(name="loss", split="train", step=step, value=1 / (step + 1))
        for step in range(first, first + BATCH)
    ]


async def _batches(run_id: str) -> AsyncIterator[run_pb2.LogMetricsRequest]:
    for number in range(BATCHES):
        yield run_pb2.LogMetricsRequest(run_id=run_id, metrics=_metrics(number * BATCH))


async def _batch_by_batch(stub: "run_pb2_grpc.RunServiceAsyncStub", run_id: str) -> None:
    async for request in _batches(run_id):
        await stub.BatchLogMetrics(request, timeout=30)


async def _new_run(stub: "run_pb2_grpc.RunServiceAsyncStub") -> run_pb2.Run:
    run = run_pb2.Run(user_id=USER, name="run", engine="quick")
    run.hyperparameters.update({"learning_rate": 0.01, "max_depth": 6, "booster": "gbtree"})
    return await stub.CreateRun(run_pb2.CreateRunRequest(run=run, request_id=uuid.uuid4().hex), timeout=30)


async def _calls(stubs: Sequence["run_pb2_grpc.RunServiceAsyncStub"]) -> list[str]:
    ids = [(await _new_run(stubs[0])).id for _ in range(100)]
    got = [(lambda stub=stub, n=n: stub.GetRun(run_pb2.GetRunRequest(id=ids[n]), timeout=30)) for n, stub in enumerate(stubs)]
    created = [(lambda stub=stub: _new_run(stub)) for stub in stubs]
    return [f"GetRun, {await _in_parallel(got)}", f"CreateRun, {await _in_parallel(created)}"]


async def _in_parallel(calls: Sequence[Callable[[], Awaitable[object]]]) -> str:
    """Each client one call after the other, all of them at once."""
    taken: list[float] = []
    until = time.perf_counter() + SECONDS

    async def client(call: Callable[[], Awaitable[object]]) -> None:
        while (begun := time.perf_counter()) < until:
            await call()
            taken.append(time.perf_counter() - begun)

    await asyncio.gather(*map(client, calls))
    cuts = statistics.quantiles(taken, n=100)
    return (
        f"{len(calls)} clients: {len(taken) / SECONDS:6,.0f} calls/s, "
        f"p50 {cuts[49] * 1000:.2f} ms, p99 {cuts[98] * 1000:.2f} ms"
    )


async def _lists(stubs) -> list[str]:
    return []
