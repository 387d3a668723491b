"""Runs tasks on this machine, each in a process of its own that can be killed without harm to the service."""

import asyncio
import fcntl
import os
import signal
import site
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from servicekit.durability import full_disk_as
from servicekit.logging import get_logger
from servicekit.threads import to_the_end
from services.training.adapters.child import Child, child_process
from services.training.adapters.limits import NICENESS, Limits, Seats, Terms, Watch, may_spin
from services.training.adapters.scratch import WORKER_LOCK
from services.training.adapters.tenants import evict
from services.training.domain.errors import DiskFull
from services.training.domain.messages import A, Refusal, Task, TrainTask, WorkerBroke, WorkerDied, decode, encode
from services.training.domain.model import Metric, Progress

log = get_logger()

COMMAND = (sys.executable, "-m", "services.training.worker")
# The longest answer, the inspection of a table of very many columns, stays far below.
LINE_BYTES = 64 * 1024 * 1024
LOG = "worker.log"
LOG_TAIL_BYTES = 8 * 1024

# All that a worker learns of our environment. No secret is among it: what runs there is other people's libraries on
# other people's data.
PASSED_ON = (
    "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV",
    "CUDA_VISIBLE_DEVICES",
)  # fmt: skip
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_MAX_THREADS", "LOKY_MAX_CPU_COUNT")
# How threads wait for each other: asleep at once, only after some microseconds, or hardly ever.
ASLEEP = {"OMP_WAIT_POLICY": "PASSIVE"}
SOON_ASLEEP = {**ASLEEP, "GOMP_SPINCOUNT": "500"}
AWAKE: dict[str, str] = {}
# Where libraries put what they want to keep.
FOLDERS = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "MPLCONFIGDIR", "JOBLIB_TEMP_FOLDER")


@dataclass(frozen=True)
class Home:
    """Where workers come from: the module of the workloads, the threads that each may use, and what settings they are
    told in their environment."""

    workloads: str
    threads: int
    settings: Mapping[str, str] = field(default_factory=dict)

    def environment(self, folder: Path, waiting: Mapping[str, str] = ASLEEP) -> dict[str, str]:
        """All that a worker in a folder learns of its surroundings."""
        return {**environment(folder, self.threads, waiting), **self.settings}


class WorkerProcesses:
    """Implements Executor with `python -m services.training.worker`.

    A worker leads a process group that ends with it. It ends with this process too, even when this one is killed:
    its standard input, of which we hold the other end, tells it.
    """

    def __init__(self, home: Home, limits: Limits, seats: Seats) -> None:
        self._home = home
        self._limits = limits
        self._seats = seats

    async def run(self, task: Task[A], folder: Path, tell: Callable[[Progress | Metric], None]) -> A:
        """Do a task on `folder / "dataset"`; the port says how it ends."""
        with self._seats.seat() as seat:
            terms = Terms(self._limits.memory_bytes, NICENESS, seat)
            command = [*COMMAND, self._home.workloads, str(folder), terms.as_argument()]
            waiting = AWAKE if isinstance(task, TrainTask) and may_spin(seat) else ASLEEP
            async with started(task, folder, command, self._home.environment(folder, waiting)) as (lines, child):
                with Watch(child.pid, self._limits_of(task), child.end).watching() as watch:
                    try:
                        return await listen(task, lines, child, tell)
                    except WorkerDied as died:
                        raise watch.exceeded or died from died

    def _limits_of(self, task: Task[Any]) -> Limits:
        """Whoever waits for a shorter task says how long."""
        return self._limits if isinstance(task, TrainTask) else replace(self._limits, seconds=0)


@asynccontextmanager
async def started(
    task: Task[A], folder: Path, command: Sequence[str], surroundings: dict[str, str]
) -> AsyncIterator[tuple[asyncio.StreamReader, Child]]:
    """A process that was set on a task, for the block, and the lines that it says; its last argument is where to.

    That it ended without an answer is logged, with the end of what it printed.
    """
    try:
        with ExitStack() as opened:
            output, lock = await to_the_end(prepare, task, folder, opened)
            reading, writing = os.pipe()
            far_end = opened.enter_context(os.fdopen(writing, "wb", buffering=0))
            process = child_process([*command, str(writing)], output, surroundings, (writing, lock.fileno()))
            async with lines_from(reading) as lines, alone_in(folder), process as child:
                far_end.close()
                lock.close()
                yield lines, child
    except (WorkerDied, WorkerBroke) as failure:
        tail = await asyncio.to_thread(tail_of, folder / LOG)
        log.error("worker failed", task=type(task).__name__, folder=folder.name, reason=str(failure), tail=tail)
        raise


def environment(folder: Path, threads: int, waiting: Mapping[str, str] = ASLEEP) -> dict[str, str]:
    """All that a worker learns of its surroundings, and how its threads wait for each other."""
    return {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        **dict.fromkeys(FOLDERS, str(folder / "tmp")),
        **dict.fromkeys(THREADS, str(threads)),
        **waiting,
        "PYTHONUSERBASE": site.getuserbase(),  # which would be looked for in HOME
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def prepare(task: Task[A], folder: Path, opened: ExitStack) -> tuple[BinaryIO, BinaryIO]:
    """What a worker needs: its task, its log, and the lock that it holds for as long as it lives.

    Who is cancelled meanwhile never sees the files, and closes them all the same.
    """
    with full_disk_as(DiskFull):
        (folder / "tmp").mkdir()
        (folder / "task.json").write_bytes(encode(task))
    lock = opened.enter_context((folder / WORKER_LOCK).open("wb"))
    fcntl.flock(lock, fcntl.LOCK_EX)
    return opened.enter_context((folder / LOG).open("wb")), lock


@asynccontextmanager
async def alone_in(folder: Path) -> AsyncIterator[None]:
    """At the end of the block nobody lives in a folder any more, not even who left the group that is killed."""
    try:
        yield
    finally:
        await asyncio.shield(asyncio.to_thread(evict, folder))


@asynccontextmanager
async def lines_from(reading: int) -> AsyncIterator[asyncio.StreamReader]:
    """What comes through a pipe, whose end is ours from now on."""
    lines = asyncio.StreamReader(limit=LINE_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(reading, "rb", buffering=0)
    )
    try:
        yield lines
    finally:
        transport.close()


async def listen(
    task: Task[A], lines: asyncio.StreamReader, child: Child, tell: Callable[[Progress | Metric], None]
) -> A:
    """The answer that a process gives by its pipe; raises what it raised, or what to say of an end without answer."""
    async for line in lines:
        if not line.endswith(b"\n"):
            break  # the worker was killed in the middle of a word
        message = decode(line)
        if isinstance(message, Progress | Metric):
            tell(message)
        elif isinstance(message, Refusal):
            raise message.as_problem()
        elif isinstance(message, task.answer):
            answer: A = message
            return answer
    raise without_answer(await child.exit_code())


def without_answer(code: int) -> WorkerDied | WorkerBroke:
    """What to say of a worker that ended so."""
    if code >= 0:
        return WorkerBroke(f"the worker ended with exit code {code} and gave no answer")
    ending = f"signal {-code} ({signal.Signals(-code).name})"
    return WorkerDied.of_memory(ending) if -code == signal.SIGKILL else WorkerDied.of_signal(ending)


def tail_of(path: Path) -> str:
    """The end of a worker's log; "" where its folder is gone already, as when a model is given up while it is asked."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
