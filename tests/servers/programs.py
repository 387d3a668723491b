"""Starts and stops the database servers that tests need: by process id, on loopback, in a folder of their own."""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

LANES = 3
LANE = "MODELYARD_TEST_LANE"
"""The variable that tells a run of tests which of so many it is that run beside each other, from 0."""
PORTS = range(20_000, 32_000)
"""Between those that Ray takes for its workers and those that the system gives to outgoing connections."""
_CHANCE = random.SystemRandom()  # what trains in the process of a test seeds the other one
_given: set[int] = set()

START_SECONDS = 180
STOP_SECONDS = 10
UNPRIVILEGED = "nobody"
# Where the system has it: whatever becomes of the tests, the server does not outlive them.
_BOUND = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()


def free_port() -> int:
    """A port of loopback that nobody listens on, and that is given to nobody else, here or in another lane.

    Who is to listen there must find it free, some seconds later or again, though many connections were made meanwhile.
    """
    lane = int(os.environ.get(LANE, "0"))
    while True:
        port = _CHANCE.choice(PORTS[lane::LANES])
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


@contextmanager
def folder_of(owner: str | None, prefix: str) -> Iterator[Path]:
    """An empty folder that belongs to a user, or to us; gone at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        if owner:
            shutil.chown(folder, owner)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unprivileged() -> str | None:
    """Whom to start a server as that refuses to run as root; None where we are not root."""
    return pwd.getpwnam(UNPRIVILEGED).pw_name if os.getuid() == 0 else None


def run(command: Sequence[str | Path], user: str | None = None, cwd: Path | None = None) -> None:
    """Run a program to its end; RuntimeError with what it said when it fails."""
    done = subprocess.run(command, user=user, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


def succeeds(command: Sequence[str | Path]) -> bool:
    """Whether a program ends well."""
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0


class Program:
    """A server that can be stopped, killed and started again."""

    def __init__(
        self, command: Sequence[str | Path], log: Path, answers: Callable[[], bool], user: str | None = None
    ) -> None:
        self._command = command
        self._log = log
        self._answers = answers
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self._has_answered = False

    def start(self) -> None:
        """Start it and wait until it answers."""
        process = self._launch()
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            ended = process.poll() is not None
            if time.monotonic() > deadline or (ended and not self._has_answered):
                self.stop()
                raise RuntimeError(f"{self._command[0]} did not start:\n{self._log.read_text()}")
            if ended:  # what a killed server leaves running is in the way of the next one for a moment
                time.sleep(0.2)
                process = self._launch()
            time.sleep(0.02)
        self._has_answered = True

    def _launch(self) -> "subprocess.Popen[bytes]":
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [*_BOUND, *self._command],
                user=self._user,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
            )
        return self._process

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal and wait until it is gone."""
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody takes connections on a port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
