"""A file of 1 GiB to Azure through the storage service, beside Azure's own SDK with the same file, and the memory.

The service sends an MD5 with every block. The emulator spares itself a slower checksum for it, so that the SDK is
measured twice: as it comes, and with MD5 as well, which compares like with like.
"""

import asyncio
import hashlib
import os
import random
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from azure.storage.blob import BlobClient

from modelyard.storage.v1 import storage_pb2 as pb
from modelyard.storage.v1 import storage_pb2_grpc
from servicekit.channels import CHUNK_BYTES, Channel
from tests.e2e.house import ROOT, House, free_port
from tests.servers.azurite import Azurite, azurite

MIB = 2**20
SIZE = int(os.environ.get("BENCH_MIB", "1024")) * MIB
ROUNDS = 3
START_SECONDS = 30
SECONDS = 600.0
CONTAINER = "datasets"


def measure(_: House, folder: Path) -> str:
    """Upload by either in turn, and report the middle time of each, and the most memory that the service took."""
    source = folder / "big.bin"
    digest = _make(source)
    with azurite() as server, _service(server, folder) as (process, address):
        before = process.memory_info().rss
        works: dict[str, Callable[[], None]] = {
            "service": lambda: asyncio.run(_through_service(address, source, digest)),
            "sdk": lambda: _by_sdk(server, source, md5=False),
            "sdk with md5": lambda: _by_sdk(server, source, md5=True),
        }
        works["service"]()  # makes the container, opens the connections
        taken: dict[str, list[float]] = {name: [] for name in works}
        for turn in range(ROUNDS):
            for name in [*works][turn:] + [*works][:turn]:
                taken[name].append(_timed(works[name]))
        grown = (_peak_bytes(process.pid) - before) / MIB
    service, sdk, sdk_with_md5 = (statistics.median(times) for times in taken.values())
    ratios = f"{sdk / service:.2f} of the sdk, {sdk_with_md5 / service:.2f} of the sdk with md5"
    return "\n".join(
        [
            f"azure sdk          {SIZE / MIB / sdk:7,.1f} MiB/s",
            f"azure sdk with md5 {SIZE / MIB / sdk_with_md5:7,.1f} MiB/s",
            f"storage service    {SIZE / MIB / service:7,.1f} MiB/s, {ratios}",
            f"memory growth of the service {grown:.0f} MiB",
        ]
    )


@contextmanager
def _service(server: Azurite, folder: Path) -> Iterator[tuple[psutil.Process, str]]:
    """The storage service as it is run, with Azure as its home for datasets."""
    address = f"127.0.0.1:{free_port()}"
    told = {
        "STORAGE_BIND": address,
        "MODELYARD_DATA_DIR": str(folder / "azure-data"),
        "AZURE_STORAGE_CONNECTION_STRING": server.connection_string,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STORAGE_", "AZURE_"))}
    with (folder / "azure-service.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.storage"], cwd=ROOT, env=kept | told, stdout=log, stderr=log
        )
    try:
        asyncio.run(_ready(address))
        yield psutil.Process(process.pid), address
    finally:
        process.terminate()
        process.wait()


async def _ready(address: str) -> None:
    channel = Channel(address)
    await asyncio.wait_for(channel.grpc.channel_ready(), START_SECONDS)
    await channel.close()


async def _through_service(address: str, source: Path, digest: str) -> None:
    channel = Channel(address)
    stub = storage_pb2_grpc.StorageServiceStub(channel.grpc)
    stored = await stub.Upload(_parts(source, digest), **channel.within(SECONDS))
    await channel.close()
    if (stored.backend, stored.size, stored.sha256) != ("azure", SIZE, digest):
        raise RuntimeError(f"what was stored is not what was sent: {stored}")


async def _parts(source: Path, digest: str) -> AsyncIterator[pb.UploadRequest]:
    unique = uuid.uuid4().hex
    yield pb.UploadRequest(
        header=pb.UploadHeader(placement=CONTAINER, key=f"bench/{unique}", owner="bench", request_id=unique)
    )
    with source.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield pb.UploadRequest(chunk=chunk)
    yield pb.UploadRequest(trailer=pb.UploadTrailer(size=SIZE, sha256=digest))


def _by_sdk(server: Azurite, source: Path, md5: bool) -> None:
    blob = f"bench/{uuid.uuid4().hex}"
    client = BlobClient.from_connection_string(server.connection_string, CONTAINER, blob)
    with client, source.open("rb") as file:
        client.upload_blob(file, max_concurrency=4, validate_content="md5" if md5 else None)


def _make(path: Path) -> str:
    """Write a file that does not compress; its SHA-256."""
    block = random.Random(0).randbytes(MIB)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(SIZE // MIB):
            piece = number.to_bytes(8) + block[8:]
            file.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def _peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
