"""The service as a process of its own, killed and started again."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from servicekit.channels import Channel
from services.training.adapters.scratch import ScratchInUse
from services.training.bootstrap import bootstrap
from services.training.settings import TrainingSettings
from tests.contract.training.conftest import Client, first_pids, train_request
from tests.contract.training.test_failures import gone


@contextmanager
def process(tmp_path: Path, storage_address: str, module: str = "tests.contract.training.service"):
    """A service process that listens on a socket in tmp_path; killed at the end."""
    environment = {
        **os.environ,
        "TRAINING_BIND": f"unix:{tmp_path}/socket",
        "TRAINING_SCRATCH_DIR": str(tmp_path / "scratch"),
        "STORAGE_ADDRESS": storage_address,
    }
    with subprocess.Popen([sys.executable, "-m", module], env=environment, stdin=subprocess.PIPE) as started:
        try:
            yield started
        finally:
            started.kill()


async def connected(tmp_path: Path) -> Client:
    channel = Channel(f"unix:{tmp_path}/socket")
    async with asyncio.timeout(180):
        while channel.grpc.get_state(try_to_connect=True) is not grpc.ChannelConnectivity.READY:
            await asyncio.sleep(0.05)
    return Client(channel, tmp_path / "scratch")


async def test_kill_9_leaves_no_worker_and_a_restart_sweeps_what_was_unfinished(storage, table, tmp_path):
    """M.3: kill any process at any moment, and nothing is left behind; what was finished is kept."""
    with process(tmp_path, storage[1]) as service:
        client = await connected(tmp_path)
        finished = await client.trained(train_request(table, "done"))
        pids = await first_pids(client.train(train_request(table, "half", "lingers")))
        service.send_signal(signal.SIGKILL)
        service.wait()
        workers_are_gone = await gone(pids)
        await client.channel.close()
    before = client.left_behind()
    downloads = storage[0].downloads
    with process(tmp_path, storage[1]):
        client = await connected(tmp_path)
        again = await client.trained(train_request(table, "done"))
        artifact = b"".join(await client.artifact("done"))
        after = client.left_behind()
        await client.channel.close()

    assert workers_are_gone
    assert before == ["model_done", "model_half"]
    assert after == ["model_done"]
    assert again == [event for event in finished if not event.HasField("progress")]
    assert len(artifact) == finished[-1].result.artifact_size
    assert storage[0].downloads == downloads


async def test_what_was_unfinished_is_trained_anew_when_asked_for(storage, table, tmp_path):
    request = train_request(table, "t1", pause=0.5)
    with process(tmp_path, storage[1]) as service:
        client = await connected(tmp_path)
        await anext(aiter(client.train(request)))
        service.kill()
        service.wait()
        await client.channel.close()
    with process(tmp_path, storage[1]):
        client = await connected(tmp_path)
        events = await client.trained(request)
        await client.channel.close()

    assert events[-1].HasField("result")


async def test_a_stop_by_sigterm_is_prompt_and_clean(storage, table, tmp_path):
    with process(tmp_path, storage[1]) as service:
        client = await connected(tmp_path)
        call = client.train(train_request(table, "t1", "lingers"))
        pids = await first_pids(call)
        service.terminate()
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await anext(aiter(call))
        code = await asyncio.to_thread(service.wait, 30)
        await client.channel.close()

    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
    assert code == 0
    assert await gone(pids)
    assert client.left_behind() == []


async def test_two_services_do_not_share_a_folder(start, storage, tmp_path):
    async with start():
        settings = TrainingSettings(bind="127.0.0.1:0", scratch_dir=tmp_path / "scratch")
        with pytest.raises(ScratchInUse, match="TRAINING_SCRATCH_DIR"):
            async with bootstrap(settings):
                pass


async def test_the_service_itself_stays_small(storage, tmp_path):
    """The libraries that train are imported by workers, never by the service."""
    with process(tmp_path, storage[1], module="services.training") as service:
        client = await connected(tmp_path)
        libraries = await asyncio.to_thread(Path(f"/proc/{service.pid}/maps").read_text)
        pages = int(Path(f"/proc/{service.pid}/statm").read_text().split()[1])
        await client.channel.close()

    assert "pandas" not in libraries
    assert "sklearn" not in libraries
    assert pages * os.sysconf("SC_PAGE_SIZE") < 100 * 1024 * 1024
