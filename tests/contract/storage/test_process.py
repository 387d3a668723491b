"""The storage service as a process of its own: what a kill leaves, and what a second process may not do."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.storage.v1 import storage_pb2 as pb

MIB = 1024 * 1024


@pytest.fixture
def start(root: Path, socket: str) -> Callable[[], subprocess.Popen]:
    processes = []

    def start(**settings: str) -> subprocess.Popen:
        environment = os.environ | {"STORAGE_ROOT": str(root), "STORAGE_BIND": socket} | settings
        process = subprocess.Popen([sys.executable, "-m", "services.storage"], env=environment, stderr=subprocess.PIPE)
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
    await client.stub.ListBackends(pb.ListBackendsRequest(), wait_for_ready=True, timeout=30)


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

    assert first.wait(20) == 0
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
    _, said = second.communicate(timeout=30)
    await call.write(client.trailer(data))
    await call.done_writing()

    assert second.returncode != 0
    assert b"another process serves the same folder" in said
    assert (await call).size == len(data)
