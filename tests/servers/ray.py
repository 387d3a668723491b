"""A real Ray cluster of the tests' own: a head, and nodes that can be killed. `ray stop` would end every Ray of this
machine, so each is ended by the ids of its processes: they have a session of their own."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.servers.programs import START_SECONDS, free_port, listens

ROOT = Path(__file__).parents[2]
RAY = (sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats")
STORE_BYTES = 80_000_000
STARTED = "Ray runtime started."


class Node:
    """A node that runs."""

    def __init__(self, folder: Path, token: str, arguments: Sequence[str]) -> None:
        self.scratch = folder / "scratch"
        """Where trainings on it have their folders."""
        self.scratch.mkdir(parents=True)
        environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": token,
            "TMPDIR": str(self.scratch),
            "PYTHONPATH": str(ROOT),
        }
        self._log = folder / "log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [*RAY, f"--object-store-memory={STORE_BYTES}", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait(self) -> str:
        """Wait until it has started; its own address, without a port."""
        said = self._when(lambda said: STARTED in said)
        return re.findall(r"Local node IP: \S*?([0-9.]+)", said)[0]

    def wait_for_door(self, host: str, port: int) -> None:
        """Wait until it lets in those that are no nodes, which it does some time after it says that it has started."""
        self._when(lambda _: listens(port, host))

    def _when(self, ready: Callable[[str], bool]) -> str:
        deadline = time.monotonic() + START_SECONDS
        while not ready(said := self._log.read_text()):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"Ray did not start:\n{said}")
            time.sleep(0.05)
        return said

    def kill(self) -> None:
        """End it at once, with all its processes, as when the machine loses its power."""
        for process in psutil.process_iter():
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                if os.getsid(process.pid) == self._process.pid:
                    process.send_signal(signal.SIGKILL)
        self._process.wait()


@dataclass
class Cluster:
    """A head that runs."""

    folder: Path
    token: str
    head: Node
    port: int
    client_port: int
    host: str
    nodes: list[Node] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where machines reach it that are no nodes."""
        return f"ray://{self.host}:{self.client_port}"

    @contextmanager
    def node(self, **resources: int) -> Iterator[Node]:
        """Another node, for the length of the block."""
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in resources.items()]
        address = [f"--address={self.host}:{self.port}", f"--node-ip-address={self.host}"]
        with _running(self.folder, self.token, [*address, *arguments]) as (node, _):
            yield node


@contextmanager
def ray_cluster(cpus: int = 2) -> Iterator[Cluster]:
    """A head on loopback with a token, gone at the end of the block."""
    # Short, because sockets lie in it; the paths of these are at most 107 characters long.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    token, port, client_port = secrets.token_hex(16), free_port(), free_port()
    ports = [f"--port={port}", f"--ray-client-server-port={client_port}"]
    own = [f"--temp-dir={folder}", "--node-ip-address=127.0.0.1", "--include-dashboard=false", f"--num-cpus={cpus}"]
    try:
        with _running(folder, token, ["--head", *ports, *own]) as (head, host):
            head.wait_for_door(host, client_port)
            yield Cluster(folder, token, head, port, client_port, host)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(folder: Path, token: str, arguments: Sequence[str]) -> Iterator[tuple[Node, str]]:
    """A node that runs, and its address. Ray gives itself half a minute to start, and no setting changes that; where a
    machine is so busy that it takes longer, it is started once more."""
    node = Node(Path(tempfile.mkdtemp(dir=folder)), token, arguments)
    try:
        try:
            host = node.wait()
        except RuntimeError:
            node.kill()
            node = Node(Path(tempfile.mkdtemp(dir=folder)), token, arguments)
            host = node.wait()
        yield node, host
    finally:
        node.kill()
