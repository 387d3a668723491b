"""The storage service as a process of its own: what a kill leaves, and what a second process may not do."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from modelyard.storage.v1 import storage_pb2 as pb

MIB = 1024 * 1024


@pytest.fixture
def start(root: Path, socket: str) -> Callable[[], subprocess.Popen]:
    processes = []

    def start(log: int | IO[bytes] = subprocess.PIPE, **settings: str) -> subprocess.Popen:
        environment = os.environ | {"STORAGE_ROOT": str(root), "STORAGE_BIND": socket} | settings
        process = subprocess.Popen([sys.executable, "-m", "services.storage"], env=environment, stderr=log)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
async def client(connect, socket: str):
    store = connect(socket)
    yield store
    await store.close()


async def ready(client) -> None:
    await client.stub.ListBackends(pb.ListBackendsRequest(), wait_for_ready=True, timeout=60)


async def test_a_killed_upload_leaves_nothing(start, client, root, leftovers, published, eventually):
    process = start()
    await ready(client)
    await client.put("kept", b"kept bytes")
    call = client.stub.Upload(**client.within)
    await call.write(client.header("half"))
    for chunk in client.chunks(b"x" * 8 * MIB):
        await call.write(chunk)
    await eventually(leftovers)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    assert leftovers()
    start()
    await ready(client)
    assert leftovers() == []
    assert await client.keys() == ["kept"]
    assert await client.get("kept") == b"kept bytes"
    assert {path.parent.name for path in published()} == {"kept@"}


async def test_an_address_outlives_its_process(start, client, root):
    first = start()
    await ready(client)
    await client.put("a", b"bytes")
    token = (await client.sign("a")).uri.split("/")[2]
    first.terminate()

    assert first.wait(60) == 0
    start()
    await ready(client)
    assert (await client.read(pb.DownloadRequest(token=token)))[1] == b"bytes"
    assert stat.S_IMODE((root / "signing.key").stat().st_mode) == 0o600


async def test_a_second_process_leaves_the_first_ones_uploads_alone(start, client, tmp_path, leftovers, eventually):
    start()
    await ready(client)
    data = b"x" * 8 * MIB
    call = client.stub.Upload(**client.within)
    await call.write(client.header("running"))
    for chunk in client.chunks(data):
        await call.write(chunk)
    await eventually(leftovers)
    second = start(STORAGE_BIND=f"unix:{tmp_path}/s")
    _, said = second.communicate(timeout=60)
    await call.write(client.trailer(data))
    await call.done_writing()

    assert second.returncode != 0
    assert b"another process serves the same folder" in said
    assert (await call).size == len(data)


async def test_a_process_that_is_asked_to_stop_ends_in_time_and_leaves_nothing(start, client, leftovers, eventually):
    """An upload that goes on for longer than the drain is given up, and cleared away before the end."""
    process = start(STORAGE_DRAIN_SECONDS="0.5")
    await ready(client)
    call = client.stub.Upload(**client.within)
    await call.write(client.header("half"))
    for chunk in client.chunks(b"x" * 8 * MIB):
        await call.write(chunk)
    await eventually(leftovers)
    process.terminate()

    assert process.wait(60) == 0
    assert leftovers() == []


async def test_a_service_serves_though_its_log_cannot_be_written(start, client):
    """A disk that is full takes no line; what the line tells of is done all the same."""
    with Path("/dev/full").open("wb", buffering=0) as full:
        process = start(full)
    await ready(client)
    await client.put("kept", b"kept bytes")
    process.terminate()

    assert process.wait(60) == 0
    start()
    await ready(client)
    assert await client.get("kept") == b"kept bytes"


async def test_clouds_that_cannot_be_reached_delay_no_start(start, client):
    """The service is there at once; what needs no cloud works, and ListBackends tells which is away."""
    start(
        AZURE_ACCOUNT_URL="https://127.0.0.1:9/account",
        AZURE_ACCOUNT_KEY="a2V5",
        CLOUDINARY_CLOUD_NAME="cloud",
        CLOUDINARY_API_KEY="key",
        CLOUDINARY_API_SECRET="a secret of this test",
        CLOUDINARY_UPLOAD_PREFIX="http://127.0.0.1:9",
        STORAGE_PLACEMENTS='{"drafts": {"key_template": "{user}/{file_name}"}}',
    )
    await client.stub.ListPlacements(pb.ListPlacementsRequest(), wait_for_ready=True, timeout=60)
    stored = await client.put("u/a", placement="drafts")
    told = await client.stub.ListBackends(pb.ListBackendsRequest(), **client.within)

    assert stored.backend == "local"
    assert [(each.name, each.reachable) for each in told.backends] == [
        ("local", True),
        ("azure", False),
        ("cloudinary", False),
    ]
    assert all(each.reason for each in told.backends if not each.reachable)
