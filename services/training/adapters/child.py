"""A process that leads a group of its own, and takes the group with it when it ends."""

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import BinaryIO

from servicekit.threads import end_of

# Only to look: it is reaped later.
EXITED = os.WEXITED | os.WNOWAIT


class Child:
    """A process that was started and is being waited for."""

    def __init__(self, process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._process = process
        self._loop = loop
        self._reaping = threading.Lock()
        self._exit_code: asyncio.Future[int] = loop.create_future()
        threading.Thread(target=self._wait, name=f"waits for {process.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        """The number of the process, of its group and of its session."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has: the system knows it before the thread that waits has told."""
        with self._reaping:
            return self._process.returncode is not None or _has_exited(self._process.pid)

    async def exit_code(self) -> int:
        """How it ended, once it has; -9 for SIGKILL."""
        return await asyncio.shield(self._exit_code)

    async def kill(self) -> None:
        """Kill the whole group, unless it has ended, and wait for its end; who is cancelled meanwhile waits, too, since
        it comes at once and what is done next relies on it."""
        self.end()
        await end_of(self._exit_code)

    def end(self) -> None:
        """Kill the whole group, unless it has ended; from any thread."""
        with self._reaping:
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def _wait(self) -> None:
        os.waitid(os.P_PID, self._process.pid, EXITED)
        with self._reaping:
            # It has ended but is not reaped, so the number of its group is not another's yet.
            os.killpg(self._process.pid, signal.SIGKILL)
            code = self._process.wait()
        self._loop.call_soon_threadsafe(self._exit_code.set_result, code)


def _has_exited(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, EXITED | os.WNOHANG) is not None


@asynccontextmanager
async def child_process(
    command: Sequence[str], output: BinaryIO, environment: dict[str, str], pass_fds: Sequence[int]
) -> AsyncIterator[Child]:
    """A process for the length of the block; the other end of its standard input is ours, and closes with us."""
    # subprocess starts it by vfork. That of uvloop forks, which in a process that uses gRPC crashes now and then.
    loop = asyncio.get_running_loop()
    starting = loop.run_in_executor(None, _start, command, output, environment, pass_fds, loop)
    try:
        await end_of(starting)
        yield starting.result()
    finally:
        if not starting.exception():
            await starting.result().kill()  # also when we were cancelled, however often, while it was being started


def _start(
    command: Sequence[str],
    output: BinaryIO,
    environment: dict[str, str],
    pass_fds: Sequence[int],
    loop: asyncio.AbstractEventLoop,
) -> Child:
    process = subprocess.Popen(  # noqa: S603 — the command is ours; outside names are not part of it
        command,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        env=environment,
        pass_fds=pass_fds,
        start_new_session=True,
    )
    return Child(process, loop)
