"""What a worker process may take of the machine: processors, memory and time."""

import contextlib
import json
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from servicekit.errors import Problem
from services.training.domain.errors import MemoryLimit, TimeLimit

LOOK_SECONDS = 0.2
NICENESS = 5
OF_MACHINE = 0.9
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
# Of the last ten seconds, in hundredths, those in which somebody waited for a processor.
PRESSURE = Path("/proc/pressure/cpu")
CROWDED = 25.0


@dataclass(frozen=True)
class Limits:
    """The most that one worker may take with all that it starts; 0 sets no limit."""

    memory_bytes: int = 0
    seconds: float = 0


@dataclass(frozen=True)
class Terms:
    """On what terms a worker runs, which it sees to itself before it does anything else."""

    memory_bytes: int = 0
    """The most that one allocation may come to; 0 sets no limit."""
    niceness: int = 0
    """How far it lets others go first; 0 leaves it as it was started."""
    processors: Sequence[int] = ()
    """Where it runs; anywhere when none are named."""

    def as_argument(self) -> str:
        """As they are written on a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def of_argument(cls, argument: str) -> "Terms":
        """The terms again."""
        return cls(**json.loads(argument))


def share_of_memory(workers: int) -> int:
    """Bytes that each of so many workers may take of this machine, or of the container that we are in."""
    whole = psutil.virtual_memory().total
    if CONTAINER_LIMIT.exists() and (told := CONTAINER_LIMIT.read_text().strip()).isdigit():
        whole = min(whole, int(told))
    return int(whole * OF_MACHINE / workers)


class Watch:
    """Looks now and then at a group of processes, in a thread of its own, and ends it once it has taken too much."""

    def __init__(self, group: int, limits: Limits, end: Callable[[], None]) -> None:
        self.exceeded: Problem | None = None
        """Why the group was ended, if it was."""
        self._group = group
        self._limits = limits
        self._end = end
        self._over = threading.Event()

    @contextmanager
    def watching(self) -> Iterator["Watch"]:
        """Watch for the length of the block."""
        thread = threading.Thread(target=self._look, name=f"watches {self._group}", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()

    def _look(self) -> None:
        began = time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            self.exceeded = self._judge(time.monotonic() - began)
            if self.exceeded:
                self._end()
                return

    def _judge(self, passed: float) -> Problem | None:
        memory, seconds = self._limits.memory_bytes, self._limits.seconds
        if seconds and passed > seconds:
            return TimeLimit(seconds=f"{seconds:g}")
        if memory and takes_more(self._group, memory):
            return MemoryLimit(limit=readable(memory))
        return None


def takes_more(group: int, limit: int) -> bool:
    """Whether a session of processes takes more memory than so many bytes, what they share counted once."""
    members = _members(group)
    # What each shares with the others is told by a slower question, which is asked only where it matters.
    return _total(members, lambda process: process.memory_info().rss) > limit and (
        _total(members, lambda process: process.memory_full_info().pss) > limit
    )


def _members(session: int) -> list[psutil.Process]:
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session:
                found.append(psutil.Process(pid))
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
    return found


def _total(members: list[psutil.Process], ask: Callable[[psutil.Process], int]) -> int:
    total = 0
    for process in members:
        try:
            total += ask(process)
        except psutil.Error:  # it has ended meanwhile
            continue
    return total


def readable(size: int) -> str:
    """Bytes as people say them: 1.5 GiB."""
    value, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{round(value, 1):g} {unit}"


class Seats:
    """Processors of this machine in groups, one for each worker, so that none works where another does.

    Without threads there are none, and workers run where the machine likes.
    """

    def __init__(self, threads: int) -> None:
        available = sorted(os.sched_getaffinity(0))
        starts = range(0, len(available) - threads + 1, threads) if threads else ()
        self._free = [available[start : start + threads] for start in starts]

    @contextmanager
    def seat(self) -> Iterator[list[int]]:
        """Processors for the length of the block; none are named where there are not as many groups as workers."""
        taken = self._free.pop() if self._free else []
        try:
            yield taken
        finally:
            if taken:
                self._free.append(taken)


def may_spin(processors: list[int]) -> bool:
    """Whether threads that wait for each other should keep trying instead of sleeping.

    That is faster by half for small steps, and several times slower where somebody else wants the processor: so only
    on processors of their own, while next to nobody on this machine waits for one.
    """
    return bool(processors) and _pressure() < CROWDED


def _pressure() -> float:
    try:
        told = re.match(r"some avg10=(\d+\.\d+)", PRESSURE.read_text())
    except OSError:  # a kernel that does not measure it, or not here
        return math.inf
    return float(told[1]) if told else math.inf


def settle(terms: Terms) -> None:
    """Run this process, which has one thread yet, where it shall, and let others go first."""
    if terms.processors:
        os.sched_setaffinity(0, terms.processors)
    if terms.niceness:
        os.setpriority(os.PRIO_PROCESS, 0, terms.niceness)
        # Where the kernel groups processes by session, only this counts between them. Few may set it often.
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(terms.niceness))
