"""Talks with a worker process over a socket, in both directions."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from servicekit.threads import to_the_end
from services.training.adapters.child import Child, child_process
from services.training.adapters.limits import Terms
from services.training.adapters.processes import COMMAND, LINE_BYTES, prepare
from services.training.domain.messages import A, Task


@dataclass(frozen=True)
class Conversation:
    """A worker process, what it says, and where it listens."""

    child: Child
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@asynccontextmanager
async def conversing(
    task: Task[A], workloads: str, folder: Path, surroundings: dict[str, str]
) -> AsyncIterator[Conversation]:
    """A worker set on a task in a folder, for the block."""
    with ExitStack() as opened:
        output, lock = await to_the_end(prepare, task, folder, opened)
        ours, theirs = (opened.enter_context(end) for end in socket.socketpair())
        command = [*COMMAND, workloads, str(folder), Terms().as_argument(), str(theirs.fileno())]
        async with child_process(command, output, surroundings, (theirs.fileno(), lock.fileno())) as child:
            theirs.close()
            lock.close()
            reader, writer = await asyncio.open_unix_connection(sock=ours.dup(), limit=LINE_BYTES)
            try:
                yield Conversation(child, reader, writer)
            finally:
                writer.close()
