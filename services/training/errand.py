"""The process that takes a training to a Ray cluster and brings back what comes of it. The service starts it (see
adapters.ray_errands) with a folder, an order, and the descriptor of a pipe, to which it says what the worker says."""

import atexit
import contextlib
import hashlib
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from servicekit.durability import no_space
from servicekit.errors import Problem
from services.training.adapters.limits import readable
from services.training.adapters.parent import end_with_parent
from services.training.adapters.ray_errands import Order
from services.training.adapters.ray_room import END, Room
from services.training.domain.errors import ArtifactLost, ClusterAway, ClusterFull, ClusterUnfit, NodeFull, RayMissing
from services.training.domain.messages import Message, Refusal, WorkerDied, decode, encode
from services.training.domain.model import Progress, Resources, Stage, TrainingResult

PIECE_BYTES = 8 * 1024 * 1024
CONNECT_SECONDS = 5.0
HEAR_SECONDS = 5.0
CALL_SECONDS = 120.0
LOOK_SECONDS = 2.0
JOIN_PAUSES = (0.5, 1.0, 2.0)
GIVEN_UP = "already been disconnected"
"""What Ray's client says, of itself, when the cluster has ended its connection while it began."""
ANEW = "Repeat the request, and it starts anew where there is room."

Say = Callable[[bytes], None]


def main(folder: Path, order: Order, descriptor: int) -> None:
    """Run one errand. An error that nobody foresaw ends the process with a stack in its log."""
    end_with_parent()
    os.set_inheritable(descriptor, False)
    with os.fdopen(descriptor, "wb") as pipe:

        def say(line: bytes) -> None:
            pipe.write(line)
            pipe.flush()

        say(encode(_outcome(folder, order, say)))


def _outcome(folder: Path, order: Order, say: Say) -> Message:
    try:
        import ray
    except ImportError:
        return Refusal.of(RayMissing())
    try:
        _connect(ray, order.address)
        return _Errand(ray, folder, order, say).run()
    except Problem as problem:
        return Refusal.of(problem)
    except ray.exceptions.RayTaskError:
        raise  # an error in our own code there
    except ray.exceptions.GetTimeoutError:
        return Refusal.of(WorkerDied(ending="silence: its node no longer answers", advice=ANEW))
    except (ray.exceptions.RayError, ConnectionError) as error:
        sys.stderr.write(f"{error}\n")
        return Refusal.of(WorkerDied(ending="the loss of its node, or of a process there,", advice=ANEW))


def _connect(ray: Any, address: str) -> None:
    # A connection of our own first: Ray tries for a long while, and ends the process then.
    where = urlsplit(address if "://" in address else f"//{address}")
    try:
        socket.create_connection((where.hostname or "", where.port or 0), CONNECT_SECONDS).close()
        join(ray, address)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        sys.stderr.write(f"{error}\n")
        raise ClusterAway(address=address, trouble=gist(error)) from error
    atexit.register(os._exit, 1)  # before Ray says good-bye, which takes long, and nothing is left to say


def join(ray: Any, address: str) -> None:
    """Become a client of a cluster; again, where that may help."""
    # At ray:// the cluster starts a process for us, on a port that another may have taken at the same moment, or so
    # slowly that it gives up.
    for pause in (*JOIN_PAUSES, None):
        try:
            ray.init(address, log_to_driver=False, configure_logging=False)
        except ConnectionError as error:
            sys.stderr.write(f"{error}\n")
            if pause is None or not (isinstance(error, ConnectionAbortedError) or GIVEN_UP in str(error)):
                raise
            time.sleep(pause)
        else:
            return


def gist(error: Exception) -> str:
    """What an error with a story of many lines comes to."""
    details = getattr(error, "details", None)  # of a call over the wire, whose story ends with a bracket
    told = (details() if callable(details) else None) or str(error)
    lines = [line.strip() for line in told.splitlines() if any(map(str.isalnum, line))]
    return lines[-1].rstrip(".") if lines else type(error).__name__


class _Errand:
    """There and back."""

    def __init__(self, ray: Any, folder: Path, order: Order, say: Say) -> None:
        self._ray = ray
        self._folder = folder
        self._order = order
        self._say = say
        asked = order.resources
        options = {"num_cpus": asked.cpus, "num_gpus": asked.gpus, "max_restarts": 0, "max_task_retries": 0}
        if asked.memory_bytes:
            options["memory"] = asked.memory_bytes
        room = ray.remote(**options)(Room)
        self._room = room.remote(order.home, order.limits)

    def run(self) -> Message:
        """What the training came to: its result, once the artifact is in the folder, or why there is none."""
        self._wait_for_room()
        self._deliver()
        self._call(self._room.begin, (self._folder / "task.json").read_bytes())
        answer = self._relay()
        if isinstance(answer, TrainingResult):
            self._fetch(answer)
        with contextlib.suppress(self._ray.exceptions.RayError):  # all is here; the janitor sees to the rest
            self._call(self._room.close)
        return answer

    def _call(self, method: Any, *args: object) -> Any:
        return self._ray.get(method.remote(*args), timeout=CALL_SECONDS)

    def _wait_for_room(self) -> None:
        ready, began, told = self._room.ready.remote(), time.monotonic(), False
        asks = _sentence(self._order.resources)
        while not self._ray.wait([ready], timeout=LOOK_SECONDS)[0]:
            if time.monotonic() - began > self._order.wait_seconds:
                raise ClusterFull(asks=asks, seconds=f"{self._order.wait_seconds:g}")
            if not told:
                self._progress(Stage.QUEUED, f"Waiting for room in the cluster: asks for {asks}.")
                told = True
        try:
            self._ray.get(ready, timeout=CALL_SECONDS)
        except self._ray.exceptions.RayActorError as error:
            if getattr(error, "actor_init_failed", False):
                raise ClusterUnfit(trouble=gist(error)) from error
            raise

    def _deliver(self) -> None:
        self._progress(Stage.PREPARING, "A node of the cluster has room; sending it the dataset.")
        with (self._folder / "dataset").open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                try:
                    self._call(self._room.take, piece)
                except self._ray.exceptions.RayTaskError as error:
                    if no_space(error.cause):
                        raise NodeFull from error
                    raise

    def _relay(self) -> Message:
        while True:
            for line in self._call(self._room.hear, HEAR_SECONDS):
                if line == END:
                    sys.exit(f"The worker there gave no answer:\n{self._call(self._room.log)}")
                message = decode(line)
                if isinstance(message, TrainingResult | Refusal):
                    return message
                self._say(line)

    def _fetch(self, result: TrainingResult) -> None:
        digest, size = hashlib.sha256(), 0
        with (self._folder / "artifact.zip").open("wb") as file:
            while piece := self._call(self._room.read, size, PIECE_BYTES):
                digest.update(piece)
                size += file.write(piece)
        if (size, digest.hexdigest()) != (result.artifact_size, result.artifact_sha256):
            raise ArtifactLost(found=size, expected=result.artifact_size)

    def _progress(self, stage: Stage, sentence: str) -> None:
        self._say(encode(Progress(0.05, stage, sentence)))


def _sentence(asked: Resources) -> str:
    """Resources as people say them: 2 processors, 1 GPU and 4 GiB of memory."""
    parts = [f"{asked.cpus:g} processor{'s' * (asked.cpus != 1)}"]
    if asked.gpus:
        parts.append(f"{asked.gpus:g} GPU{'s' * (asked.gpus != 1)}")
    if asked.memory_bytes:
        parts.append(f"{readable(asked.memory_bytes)} of memory")
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Order.of_argument(sys.argv[2]), int(sys.argv[3]))
