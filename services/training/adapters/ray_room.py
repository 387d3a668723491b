"""A training's place on a node of a Ray cluster. The errand makes it an actor; it needs nothing of Ray itself."""

import asyncio
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from servicekit.errors import Problem
from services.training.adapters.limits import Limits, Seats, share_of_memory
from services.training.adapters.processes import LOG, Home, WorkerProcesses, tail_of
from services.training.adapters.ray_janitor import sweep
from services.training.domain.messages import Message, Refusal, TrainTask, WorkerBroke, decode, encode

PREFIX = "model_training_"
JANITOR = (sys.executable, "-m", "services.training.adapters.ray_janitor")
END = b""
"""What is heard after the last line."""


class Room:
    """One training: its dataset comes in pieces, what it tells and then its artifact go out.

    The same worker process does it as on the service's own machine. It and the folder are gone when this process is,
    however that ends.
    """

    def __init__(self, home: Home, limits: Limits) -> None:
        root = Path(tempfile.gettempdir())
        sweep(root, PREFIX)
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
        self._janitor = _janitor_of(self._folder)
        limits = Limits(limits.memory_bytes or share_of_memory(1), limits.seconds)
        self._processes = WorkerProcesses(home, limits, Seats(0))
        self._told: queue.Queue[bytes] = queue.Queue()
        self._dataset: BinaryIO = (self._folder / "dataset").open("wb")

    def ready(self) -> int:
        """The number of this process; it is told when the room is."""
        return os.getpid()

    def take(self, piece: bytes) -> None:
        """The next bytes of the dataset."""
        self._dataset.write(piece)

    def begin(self, line: bytes) -> None:
        """Train as a task says, now that the dataset is whole."""
        self._dataset.close()
        task = decode(line)
        if not isinstance(task, TrainTask):
            raise TypeError(f"{type(task).__name__} is nothing to do on a cluster")
        threading.Thread(target=self._work, args=[task], daemon=True).start()

    def hear(self, seconds: float) -> list[bytes]:
        """The next lines of what the training tells, at the latest after so many seconds; END follows the last."""
        try:
            lines = [self._told.get(timeout=seconds)]
        except queue.Empty:
            return []
        while not self._told.empty():
            lines.append(self._told.get())
        return lines

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the artifact."""
        with (self._folder / "artifact.zip").open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def log(self) -> str:
        """The end of what the worker printed."""
        return tail_of(self._folder / LOG)

    def close(self) -> None:
        """Remove everything; it is gone on return."""
        call, answer = self._janitor
        call.close()
        answer.read()

    def _work(self, task: TrainTask) -> None:
        try:
            self._tell(_outcome(self._processes, task, self._folder, self._tell))
        except WorkerBroke:
            pass  # the log has why
        finally:
            self._told.put(END)

    def _tell(self, message: Message) -> None:
        self._told.put(encode(message))


def _outcome(processes: WorkerProcesses, task: TrainTask, folder: Path, tell: Callable[[Message], None]) -> Message:
    try:
        return asyncio.run(processes.run(task, folder, tell))
    except Problem as problem:
        return Refusal.of(problem)


def _janitor_of(folder: Path) -> tuple[BinaryIO, BinaryIO]:
    """A janitor for a folder: what it waits for to close, and what closes when it is done."""
    janitor = subprocess.Popen(  # noqa: S603 — the command is ours
        [*JANITOR, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", start_new_session=True
    )
    janitor.wait()  # the first of two processes
    if not (janitor.stdin and janitor.stdout and janitor.stdout.readline()):
        raise RuntimeError("no janitor could be started")
    return cast("BinaryIO", janitor.stdin), cast("BinaryIO", janitor.stdout)
