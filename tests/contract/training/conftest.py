"""A training service over a storage service that serves from memory, both on the wire."""

import hashlib
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from google.protobuf import struct_pb2
from structlog.testing import capture_logs
from typing_extensions import override

from modelyard.storage.v1 import storage_pb2, storage_pb2_grpc
from modelyard.training.v1 import analysis_pb2_grpc, training_pb2, training_pb2_grpc
from servicekit.channels import Channel
from servicekit.errors import NotFound, Unavailable
from servicekit.server import Application, Service, serving
from servicekit.settings import ServerSettings
from services.training.bootstrap import bootstrap
from services.training.settings import TrainingSettings

FAKES = "tests.contract.training.fake_workloads"
SECONDS = 180.0  # a cluster takes a minute to begin where others want the machine, too
FETCH = ["modelyard.training.v1.AnalysisService/FetchDataset"]
"""What the gateway does not repeat by itself, either: it may have taken very long until it failed."""


class NoSuchObject(NotFound):
    """There is no object {key}."""


class BackendAway(Unavailable):
    """The backend is away."""


class Storage(storage_pb2_grpc.StorageServiceServicer):
    """Serves objects from memory, as the contract says."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.downloads = 0

    @override
    async def Download(self, request, context):
        self.downloads += 1
        if request.name.key == "away":
            raise BackendAway
        if request.name.key not in self.objects:
            raise NoSuchObject(key=request.name.key)
        content = self.objects[request.name.key]
        yield storage_pb2.DownloadResponse(header=storage_pb2.DownloadHeader(length=len(content)))
        for start in range(0, len(content), 256 * 1024):
            yield storage_pb2.DownloadResponse(chunk=content[start : start + 256 * 1024])

    def put(self, key: str, content: bytes) -> training_pb2.DatasetSource:
        self.objects[key] = content
        sha256 = hashlib.sha256(content).hexdigest()
        return training_pb2.DatasetSource(dataset_id="d1", placement="datasets", key=key, sha256=sha256)


@dataclass
class Client:
    """The stubs of a running training service, and where it keeps its files."""

    channel: Channel
    scratch: Path
    training: Any = field(init=False)
    analysis: Any = field(init=False)

    def __post_init__(self) -> None:
        self.training = training_pb2_grpc.TrainingServiceStub(self.channel.grpc)
        self.analysis = analysis_pb2_grpc.AnalysisServiceStub(self.channel.grpc)

    def train(self, request: training_pb2.TrainRequest) -> Any:
        return self.training.Train(request, **self.channel.within(SECONDS))

    async def trained(self, request: training_pb2.TrainRequest) -> list[training_pb2.TrainResponse]:
        return [response async for response in self.train(request)]

    async def cancel(self, training_id: str) -> training_pb2.CancelTrainingResponse:
        request = training_pb2.CancelTrainingRequest(training_id=training_id)
        return await self.training.CancelTraining(request, **self.channel.within(SECONDS))

    async def release(self, training_id: str) -> training_pb2.ReleaseArtifactResponse:
        request = training_pb2.ReleaseArtifactRequest(training_id=training_id)
        return await self.training.ReleaseArtifact(request, **self.channel.within(SECONDS))

    async def artifact(self, training_id: str) -> list[bytes]:
        request = training_pb2.ReadArtifactRequest(training_id=training_id)
        return [answer.chunk async for answer in self.training.ReadArtifact(request, **self.channel.within(SECONDS))]

    def left_behind(self) -> list[str]:
        """What lies in the scratch folder besides what the service keeps for itself."""
        own = {"cancelled", "inspections"}
        return sorted(path.name for path in self.scratch.iterdir() if path.name not in own)


def train_request(source: training_pb2.DatasetSource, training_id: str = "t1", workload: str = "copies", **parameters):
    struct = struct_pb2.Struct()
    struct.update(parameters)
    return training_pb2.TrainRequest(training_id=training_id, workload=workload, dataset=source, parameters=struct)


async def first_pids(call: Any) -> list[int]:
    """The process ids that the workload `lingers` tells, its own first."""
    async for response in call:
        if response.progress.stage == "training":
            return [int(word) for word in response.progress.message.split()]
    raise AssertionError("it ended before it told")


@pytest.fixture
async def storage() -> AsyncIterator[tuple[Storage, str]]:
    servicer = Storage()
    service = Service(
        "modelyard.storage.v1.StorageService", storage_pb2_grpc.add_StorageServiceServicer_to_server, servicer
    )
    async with serving(Application([service]), "127.0.0.1:0", ServerSettings(bind="127.0.0.1:0")) as server:
        yield servicer, server.address


@pytest.fixture
def table(storage: tuple[Storage, str]) -> training_pb2.DatasetSource:
    return storage[0].put("u1/d1/table.csv", b"a,b\n1,2\n3,4\n5,6\n7,8\n")


@pytest.fixture
def told(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """All that was logged or printed so far, whatever an earlier test has said of the log."""
    everything = structlog.make_filtering_bound_logger(logging.DEBUG)
    for name, module in list(sys.modules.items()):
        if name.startswith(("services.training", "servicekit")) and hasattr(module, "log"):
            monkeypatch.setattr(module, "log", structlog.wrap_logger(None, wrapper_class=everything))
    with capture_logs() as events:
        yield lambda: "\n".join([str(events), *capfd.readouterr()])


Start = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def start(storage: tuple[Storage, str], tmp_path: Path) -> Start:
    """Starts a training service in this process; keyword arguments are settings."""

    @asynccontextmanager
    async def starting(workloads: str = FAKES, **given: Any) -> AsyncIterator[Client]:
        facts = {"storage_address": storage[1], "scratch_dir": tmp_path / "scratch", "max_workers": 2, **given}
        settings = TrainingSettings(**{"bind": "127.0.0.1:0", "drain_seconds": 5, **facts})
        async with AsyncExitStack() as stack:
            # The channel is closed last, so that a caller hears what a service that stops has to say.
            application = await stack.enter_async_context(bootstrap(settings, workloads))
            server = await stack.enter_async_context(serving(application, settings.bind, settings))
            client = Client(
                Channel(server.address, settings.service_token.get_secret_value(), once=FETCH), settings.scratch
            )
            try:
                yield client
            finally:
                await stack.aclose()
                await client.channel.close()

    return starting


@pytest.fixture
async def client(start: Start) -> AsyncIterator[Client]:
    async with start() as client:
        yield client
